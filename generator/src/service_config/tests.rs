use super::*;
use crate::syntax::Code;

fn parse(text: &str) -> ServiceConfig {
    ServiceConfig::parse(&Source::new("config.json", text)).unwrap()
}

fn error(text: &str) -> String {
    let error = ServiceConfig::parse(&Source::new("config.json", text));
    error.unwrap_err().to_string()
}

#[test]
fn rule_11_a_method_s_entry_is_that_of_its_name_then_its_service_s_then_the_default() {
    let config = parse(
        r#"{"methodConfig": [
            {"name": [{}]},
            {"name": [{"service": "a.B", "method": ""}]},
            {"name": [{"service": "a.B", "method": "C"}, {"service": "a.D"}]}
        ]}"#,
    );
    assert_eq!(config.method("a.B", "C"), Some(2));
    assert_eq!(config.method("a.B", "Other"), Some(1));
    assert_eq!(config.method("a.D", "C"), Some(2));
    assert_eq!(config.method("a.E", "C"), Some(0));
    assert_eq!(parse("{}").method("a.B", "C"), None);
}

#[test]
fn of_entries_with_the_same_name_the_first_counts() {
    let config = parse(
        r#"{"methodConfig": [
            {"name": [{"service": "a.B"}], "timeout": "1s"},
            {"name": [{"service": "a.B"}], "timeout": "2s"}
        ]}"#,
    );
    assert_eq!(config.method("a.B", "C"), Some(0));
    assert!(config.repeats(0) && !config.repeats(1));
}

#[test]
fn values_are_read_as_proto_json_is() {
    let config = parse(
        r#"{"method_config": [{
            "name": [{"service": "a.B"}],
            "timeout": null,
            "max_request_message_bytes": "10",
            "maxResponseMessageBytes": 2e1,
            "unknown": [1, 2],
            "hedgingPolicy": {"maxAttempts": "3", "nonFatalStatusCodes": ["unavailable", 10, "14"]}
        }]}"#,
    );
    let policy = &config.methods[0].policy;
    assert!(policy.timeout.is_none());
    assert_eq!(policy.max_request_message_bytes.as_ref().unwrap().value, 10);
    assert_eq!(
        policy.max_response_message_bytes.as_ref().unwrap().value,
        20
    );
    let hedging = &policy.hedging_policy.as_ref().unwrap().value;
    assert_eq!(hedging.max_attempts.as_ref().unwrap().value, 3);
    let codes = hedging.non_fatal_status_codes.as_ref().unwrap();
    let codes: Vec<_> = codes.value.iter().map(|code| code.value.clone()).collect();
    let name = |name: &str| Code::Name(name.to_owned());
    assert_eq!(codes, [name("unavailable"), Code::Number(10), name("14")]);
}

#[test]
fn what_a_published_file_leaves_out_is_a_note() {
    let config = parse(
        r#"{"methodConfig": [{
            "name": [{"service": "a.B"}],
            "retryPolicy": {"initialBackoff": "1s", "retryableStatusCodes": ["ABORTED"]}
        }, {
            "name": [{"service": "a.C"}],
            "retryPolicy": {"maxAttempts": 4}
        }]}"#,
    );
    let notes = config.methods.iter().flat_map(|entry| &entry.notes);
    let notes: Vec<_> = notes.map(|note| note.value.as_str()).collect();
    assert_eq!(
        notes,
        [
            "`methodConfig[0].retryPolicy` has no maxAttempts: gRPC's cap of 5 holds",
            "`methodConfig[1].retryPolicy` has no retryableStatusCodes: it counts as none",
        ]
    );
}

#[test]
fn a_file_is_for_the_services_that_it_names() {
    let config = parse(
        r#"{"methodConfig": [{"name": [{"service": "a.B"}, {"service": "a.C", "method": "D"}]}]}"#,
    );
    assert!(config.is_for("a.B") && config.is_for("a.C") && !config.is_for("a.D"));
    assert!(parse(r#"{"methodConfig": [{"name": [{}]}]}"#).is_for("a.D"));
}

#[test]
fn what_holds_for_a_channel_is_kept() {
    let config = parse(
        r#"{
            "loadBalancingConfig": [{"grpclb": {}}, {"round_robin": {}}],
            "healthCheckConfig": {"serviceName": "a.B"}
        }"#,
    );
    let names = |config: &ServiceConfig| -> Vec<String> {
        let policies = config.load_balancing_policies.iter();
        policies.map(|policy| policy.value.clone()).collect()
    };
    assert_eq!(names(&config), ["grpclb", "round_robin"]);
    assert_eq!(config.health_check_service.as_deref(), Some("a.B"));
    let deprecated = parse(r#"{"loadBalancingPolicy": "ROUND_ROBIN"}"#);
    assert_eq!(names(&deprecated), ["round_robin"]);
}

#[test]
fn rule_12_each_load_balancing_entry_has_one_policy_with_its_config() {
    for (list, what) in [
        ("[]", "`loadBalancingConfig` names no policy"),
        (
            "{}",
            "`loadBalancingConfig` must be a list, and is an object",
        ),
        (
            "[{}]",
            "`loadBalancingConfig[0]` must have one field, the policy's name",
        ),
        (
            r#"[{"grpclb": {}, "pick_first": {}}]"#,
            "`loadBalancingConfig[0]` must have one field, the policy's name",
        ),
        (
            r#"["pick_first"]"#,
            "`loadBalancingConfig[0]` must be an object, and is the string \"pick_first\"",
        ),
        (
            r#"[{"pick_first": {}}, {"grpclb": null}]"#,
            "`loadBalancingConfig[1].grpclb` must be an object, and is null",
        ),
    ] {
        let message = error(&format!(r#"{{"loadBalancingConfig": {list}}}"#));
        assert_eq!(message.split_once(": ").unwrap().1, what);
    }
}

#[test]
fn what_is_no_service_config_has_a_place() {
    assert_eq!(
        error("[]"),
        "config.json:1:1: a service config must be an object, and is a list"
    );
    assert_eq!(
        error(""),
        "config.json:1:1: this is no JSON: the file is empty"
    );
    assert!(error("{\"a\": 1,}").starts_with("config.json:1:8: this is no JSON: "));
    assert_eq!(
        error("{\n  \"methodConfig\": [{\"timeout\": 5}]\n}"),
        "config.json:2:32: `methodConfig[0].timeout` must be a string, and is the number 5"
    );
}

#[test]
fn numbers_in_quotes_are_those_of_json() {
    let bytes = |value: &str| {
        let text = format!(r#"{{"methodConfig": [{{"maxRequestMessageBytes": {value}}}]}}"#);
        let config = ServiceConfig::parse(&Source::new("config.json", text)).ok()?;
        let bytes = config.methods[0].policy.max_request_message_bytes.as_ref();
        bytes.map(|bytes| bytes.value)
    };
    for three in ["3", "3.0", "3e0", r#""3""#, r#""3.0""#, r#""30e-1""#] {
        assert_eq!(bytes(three), Some(3), "{three}");
    }
    // A server that has no limit says so with the largest number of 64 bits.
    assert_eq!(bytes("18446744073709551615"), Some(i64::MAX));
    for not in ["+3", ".5e1", "3.", "03", " 3", "inf", "NaN", "0x3", ""] {
        assert_eq!(bytes(&format!("{not:?}")), None, "{not}");
    }
}

#[test]
fn a_field_under_both_of_its_names_is_refused() {
    assert_eq!(
        error(r#"{"methodConfig": [], "method_config": []}"#),
        "config.json:1:39: `method_config` is the same field as `methodConfig`"
    );
    let config = parse(r#"{"methodConfig": null, "method_config": [{"timeout": "1s"}]}"#);
    assert_eq!(config.methods.len(), 1);
}

/// What is said of the fields of a file that are not read.
fn unread(text: &str) -> Vec<String> {
    let unread = parse(text).unread;
    unread.into_iter().map(|note| note.value).collect()
}

#[test]
fn fields_that_are_not_read_are_noted_with_what_was_meant() {
    assert_eq!(
        unread(
            r#"{
                "comment": "",
                "methodConfig": [{
                    "name": [{"servce": "a.B"}],
                    "timout": "2s",
                    "retryPolicy": {"maxAttempt": 3, "retryableStatusCodes": []},
                    "hedgingPolicy": {"maxAttempts": 2, "delay": "1s"}
                }],
                "retryThrottling": {"maxTokens": 1, "tokenratio": 1},
                "healthCheckConfig": {"service": "a.B"}
            }"#
        ),
        [
            "`methodConfig[0].name[0].servce` is no field that is read: did you mean `service`?",
            "`methodConfig[0].retryPolicy.maxAttempt` is no field that is read: did you mean `maxAttempts`?",
            "`methodConfig[0].hedgingPolicy.delay` is no field that is read",
            "`methodConfig[0].timout` is no field that is read: did you mean `timeout`?",
            "`retryThrottling.tokenratio` is no field that is read: did you mean `tokenRatio`?",
            "`healthCheckConfig.service` is no field that is read: did you mean `serviceName`?",
            "`comment` is no field that is read",
        ]
    );
}

#[test]
fn fields_that_are_read_are_not_noted_in_either_spelling() {
    let text = r#"{
        "loadBalancingPolicy": "round_robin",
        "load_balancing_config": [{"round_robin": {"anything": 1}}],
        "method_config": [{
            "name": [{"service": "a.B", "method": "C"}],
            "timeout": "2s",
            "wait_for_ready": null,
            "maxRequestMessageBytes": 1,
            "max_response_message_bytes": 1,
            "retryPolicy": {"max_attempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
                "retryableStatusCodes": [14]},
            "hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s", "nonFatalStatusCodes": []}
        }],
        "retryThrottling": {"maxTokens": 1, "tokenRatio": 1},
        "healthCheckConfig": {"serviceName": "a.B"}
    }"#;
    assert_eq!(unread(text), [""; 0]);
}
