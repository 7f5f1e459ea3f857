//! Service configs at generation and at run time: what one reader takes, the other does.
//!
//! But for load balancing that no channel has: generated code has none, and `wireloom explain` warns of it.

use wireloom::ServiceConfig;

use crate::Project;

/// Holds both readers to the same verdict, which `valid` is.
fn agree(project: &Project, json: &str, valid: bool) {
    project.write("config.json", json);
    let builder = project
        .builder()
        .service_config(project.path("config.json"));
    let generated = builder.model().map(drop);
    let ran = ServiceConfig::from_published_json(json).map(drop);
    assert_eq!(
        generated.is_ok(),
        valid,
        "at generation: {json}\n{generated:?}"
    );
    assert_eq!(ran.is_ok(), valid, "at run time: {json}\n{ran:?}");
}

fn agree_on_method(field: &str, valid: bool) {
    let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], {field}}}]}}"#);
    agree(&Project::new(), &json, valid);
}

#[test]
fn timeouts() {
    for (timeout, valid) in [
        (r#""0s""#, true),
        (r#""0.000000001s""#, true),
        (r#""315576000000s""#, true),
        ("null", true),
        (r#""-1s""#, false),
        (r#""315576000001s""#, false),
        (r#""1.0000000001s""#, false),
        (r#""1""#, false),
        ("1", false),
        (r#"{"seconds": 1}"#, false),
    ] {
        agree_on_method(&format!(r#""timeout": {timeout}"#), valid);
    }
}

#[test]
fn limits_and_flags() {
    for (field, valid) in [
        (r#""maxRequestMessageBytes": 0"#, true),
        (r#""maxRequestMessageBytes": "18446744073709551615""#, true),
        (r#""maxRequestMessageBytes": 1e3"#, true),
        (r#""maxRequestMessageBytes": -0"#, true),
        (r#""maxRequestMessageBytes": "-0.0""#, true),
        (r#""maxRequestMessageBytes": 9007199254740992.0"#, true),
        (r#""maxRequestMessageBytes": 18446744073709551616"#, false),
        (r#""maxRequestMessageBytes": 0.5"#, false),
        (r#""max_response_message_bytes": -1"#, false),
        (
            r#""maxResponseMessageBytes": 1, "max_response_message_bytes": 1"#,
            false,
        ),
        (r#""waitForReady": true"#, true),
        (r#""waitForReady": "true""#, false),
        (r#""unknown": {"a": [1]}"#, true),
    ] {
        agree_on_method(field, valid);
    }
}

#[test]
fn retry_policies() {
    const BACKOFF: &str = r#""initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1"#;
    const CODES: &str = r#""retryableStatusCodes": ["UNAVAILABLE"]"#;
    for (policy, valid) in [
        (format!(r#""maxAttempts": 2, {BACKOFF}, {CODES}"#), true),
        (
            format!(r#""maxAttempts": "4294967295", {BACKOFF}, {CODES}"#),
            true,
        ),
        (
            format!(r#""maxAttempts": 4294967296, {BACKOFF}, {CODES}"#),
            false,
        ),
        (format!(r#""maxAttempts": 1, {BACKOFF}, {CODES}"#), false),
        (format!(r#""maxAttempts": 2.5, {BACKOFF}, {CODES}"#), false),
        (format!("{BACKOFF}, {CODES}"), true),
        (BACKOFF.to_owned(), true),
        (format!(r#"{BACKOFF}, "retryableStatusCodes": []"#), true),
        (format!(r#"{BACKOFF}, "maxAttempts": 1"#), false),
        (
            BACKOFF.replace(r#""maxBackoff": "1s""#, r#""maxBackoff": "0s""#),
            false,
        ),
        (CODES.to_owned(), false),
        (String::new(), false),
        (BACKOFF.replace("Multiplier\": 1", "Multiplier\": 0"), false),
        (
            BACKOFF.replace("Multiplier\": 1", "Multiplier\": 1e-320"),
            true,
        ),
        (
            BACKOFF.replace("Multiplier\": 1", "Multiplier\": \"1.5\""),
            true,
        ),
        (
            BACKOFF.replace("Multiplier\": 1", "Multiplier\": 1e999"),
            false,
        ),
        (
            format!(r#"{BACKOFF}, "retryableStatusCodes": [14, "data_loss", 14.0]"#),
            true,
        ),
        (format!(r#"{BACKOFF}, "retryableStatusCodes": [0]"#), false),
        (
            format!(r#"{BACKOFF}, "retryableStatusCodes": ["OK"]"#),
            false,
        ),
        (format!(r#"{BACKOFF}, "retryableStatusCodes": [17]"#), false),
        (
            format!(r#"{BACKOFF}, "retryableStatusCodes": ["14"]"#),
            false,
        ),
        (
            format!(r#"{BACKOFF}, "retryableStatusCodes": [null]"#),
            false,
        ),
        (
            format!(r#"{BACKOFF}, "retryableStatusCodes": "UNAVAILABLE""#),
            false,
        ),
    ] {
        agree_on_method(&format!(r#""retryPolicy": {{{policy}}}"#), valid);
    }
    let both = format!(r#""retryPolicy": {{{BACKOFF}}}, "hedgingPolicy": {{"maxAttempts": 2}}"#);
    agree_on_method(&both, false);
}

#[test]
fn hedging_policies() {
    for (policy, valid) in [
        (r#""maxAttempts": 2"#, true),
        (
            r#""maxAttempts": 2, "hedgingDelay": "0s", "nonFatalStatusCodes": []"#,
            true,
        ),
        ("", false),
        (r#""maxAttempts": 1"#, false),
        (r#""maxAttempts": 2, "hedgingDelay": "-1s""#, false),
        (r#""maxAttempts": 2, "nonFatalStatusCodes": ["OK"]"#, false),
    ] {
        agree_on_method(&format!(r#""hedgingPolicy": {{{policy}}}"#), valid);
    }
}

#[test]
fn names() {
    let project = Project::new();
    for (names, valid) in [
        ("[]", true),
        ("null", true),
        (r#"[{"service": "a.B"}, {"service": "a.B"}]"#, true),
        (r#"[{"service": "", "method": ""}]"#, true),
        (r#"[{"method": "C"}]"#, false),
        (r#"[{"service": 1}]"#, false),
        ("[null]", false),
        ("{}", false),
    ] {
        agree(
            &project,
            &format!(r#"{{"methodConfig": [{{"name": {names}}}]}}"#),
            valid,
        );
    }
}

#[test]
fn what_holds_for_a_server() {
    let project = Project::new();
    for (field, valid) in [
        (
            r#""retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.001}"#,
            true,
        ),
        (
            r#""retryThrottling": {"maxTokens": "0.001", "tokenRatio": 1e300}"#,
            true,
        ),
        (r#""retryThrottling": null"#, true),
        (
            r#""retryThrottling": {"maxTokens": 1000.0009, "tokenRatio": 1}"#,
            true,
        ),
        (
            r#""retryThrottling": {"maxTokens": 1000.001, "tokenRatio": 1}"#,
            false,
        ),
        (
            r#""retryThrottling": {"maxTokens": 1, "tokenRatio": 0.0009}"#,
            false,
        ),
        (
            r#""retryThrottling": {"maxTokens": -1, "tokenRatio": 1}"#,
            false,
        ),
        (r#""retryThrottling": {"maxTokens": 1}"#, false),
        (r#""retryThrottling": []"#, false),
        (
            r#""loadBalancingConfig": [{"grpclb": {}}, {"pick_first": {}}]"#,
            true,
        ),
        (r#""loadBalancingConfig": []"#, false),
        (r#""loadBalancingConfig": [{}, {"pick_first": {}}]"#, false),
        (r#""loadBalancingConfig": [{"pick_first": null}]"#, false),
        (r#""loadBalancingPolicy": "PICK_FIRST""#, true),
        (r#""loadBalancingPolicy": 1"#, false),
        (r#""healthCheckConfig": {"serviceName": ""}"#, true),
        (r#""healthCheckConfig": {"serviceName": 1}"#, false),
        (r#""healthCheckConfig": "all""#, false),
        (r#""methodConfig": [null]"#, false),
        (r#""methodConfig": {}"#, false),
    ] {
        agree(&project, &format!("{{{field}}}"), valid);
    }
    for document in [
        "",
        "[]",
        "null",
        "{",
        "{} {}",
        "{'a': 1}",
        "{\"a\": 1,}",
        "// a\n{}",
    ] {
        agree(&project, document, false);
    }
}
