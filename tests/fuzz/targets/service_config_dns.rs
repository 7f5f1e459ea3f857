//! Service configs in DNS TXT records: the first byte is this client's percentage, the second that of a choice, and the
//! rest is a record, then the text of that choice's config.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wireloom::ServiceConfig;

const HOSTNAME: &str = "host";

/// JSON nests to 128 in all, of which a choice takes two.
const DEEP: usize = 126;

fuzz_target!(|input: (u8, u8, &str)| {
    let (drawn, percentage, text) = (input.0 % 100, input.1 % 101, input.2);
    let _ = ServiceConfig::from_dns_txt(text.lines(), HOSTNAME, drawn);
    let record = format!("grpc_config={text}");
    let _ = ServiceConfig::from_dns_txt([record.as_str()], HOSTNAME, drawn);

    // A config that can be read by itself is read from the choice that holds it, and an invalid one is not.
    if serde_json::from_str::<serde_json::Value>(text).is_err() || depth(text) > DEEP {
        return;
    }
    let choice = format!(r#"{{"percentage": {percentage}, "serviceConfig": {text}}}"#);
    let record = format!("grpc_config=[{choice}]");
    let chosen = ServiceConfig::from_dns_txt([record.as_str()], HOSTNAME, drawn);
    match ServiceConfig::from_json(text) {
        Ok(config) => assert_eq!(chosen, Ok((drawn < percentage).then_some(config))),
        // Of a choice that is not for this client, only whether it has a config is read.
        Err(error) if drawn < percentage => {
            let chosen = chosen.expect_err("the config is invalid by itself");
            assert_eq!(chosen.position(), None);
            assert!(chosen.field().starts_with("[0].serviceConfig"));
            assert!(chosen.field().ends_with(error.field()));
        }
        Err(_) => assert!(!matches!(chosen, Ok(Some(_)))),
    }
});

/// How many objects and lists may be open at once, at most.
fn depth(json: &str) -> usize {
    json.matches(['{', '[']).count()
}
