//! Whom a client's certificate is for, and whether that is who may call: the first line of the input is a pattern, the rest
//! the certificate in DER. Both are a name, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wireloom::fuzzing::{allows_dns_name, allows_uri, is_pattern, read_certificate};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let pattern = parts.next().unwrap_or_default();
    let certificate = parts.next().unwrap_or_default();
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    if !is_pattern(pattern) {
        return;
    }
    if let Ok(name) = std::str::from_utf8(certificate) {
        check_dns_name(pattern, name);
        check_uri(pattern, name);
    }
    if let Some(identity) = read_certificate(certificate) {
        for name in identity.dns_names() {
            check_dns_name(pattern, name);
        }
        for uri in identity.uris() {
            check_uri(pattern, uri);
        }
        let _ = format!("{identity:?}");
    }
});

/// What is allowed is the name itself, or one label below it.
fn check_dns_name(pattern: &str, name: &str) {
    if !allows_dns_name(pattern, name) {
        return;
    }
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        None => assert_eq!(pattern, name),
        Some(parent) => {
            let label = name.strip_suffix(parent).expect("it is below the pattern");
            assert!(!matches!(label, "" | "*") && !label.contains('.'));
        }
    }
}

/// What is allowed is the URI itself, or one below it, whatever way it is read.
fn check_uri(pattern: &str, uri: &str) {
    if !allows_uri(pattern, uri) {
        return;
    }
    match pattern.strip_suffix('*') {
        None => assert_eq!(pattern, uri),
        Some(parent) => {
            let below = uri.strip_prefix(parent).expect("it is below the pattern");
            assert!(!below.is_empty() && !below.contains(['%', '?', '#']));
            assert!(
                below
                    .split('/')
                    .all(|segment| !matches!(segment, "" | "." | ".."))
            );
        }
    }
}
