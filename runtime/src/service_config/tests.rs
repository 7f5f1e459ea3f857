mod attempts;
mod published;
mod throttling;

use std::time::Duration;

use tonic::Code;

use super::*;

const RETRY: &str = r#"{
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
}"#;

const HEDGING: &str = r#"{"maxAttempts": 3}"#;

fn read(json: &str) -> ServiceConfig {
    ServiceConfig::from_json(json).unwrap()
}

fn rejected(json: &str) -> InvalidServiceConfig {
    ServiceConfig::from_json(json).expect_err(json)
}

/// A config with one entry, for all methods, with these fields.
fn with_method(fields: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], {fields}}}]}}"#)
}

fn method(fields: &str) -> MethodConfig {
    read(&with_method(fields)).method("/s/m").unwrap().clone()
}

fn rejected_method(fields: &str) -> InvalidServiceConfig {
    rejected(&with_method(fields))
}

fn retry_with(field: &str, value: &str) -> String {
    policy_with("retryPolicy", RETRY, field, value)
}

/// A method's policy, in which `field` is `value`.
fn policy_with(name: &str, policy: &str, field: &str, value: &str) -> String {
    let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    policy[field] = serde_json::from_str(value).unwrap();
    format!(r#""{name}": {policy}"#)
}

#[test]
fn a_config_that_says_nothing_is_the_default() {
    for json in [
        "{}",
        r#"{"methodConfig": []}"#,
        r#"{"methodConfig": null, "retryThrottling": null, "loadBalancingConfig": null}"#,
        r#"{"healthCheckConfig": {}}"#,
    ] {
        assert_eq!(read(json), ServiceConfig::default(), "{json}");
    }
    assert_eq!(ServiceConfig::default().method("/s/m"), None);
}

#[test]
fn all_fields_of_a_method_are_read() {
    let method = method(
        r#""timeout": "1.5s", "waitForReady": true,
        "maxRequestMessageBytes": 1024, "maxResponseMessageBytes": "0""#,
    );
    let expected = MethodConfig {
        timeout: Some(Duration::from_millis(1500)),
        wait_for_ready: Some(true),
        max_request_message_bytes: Some(1024),
        max_response_message_bytes: Some(0),
        attempts: AttemptPolicy::Single,
    };
    assert_eq!(method, expected);
}

#[test]
fn original_names_are_read_as_json_names_are() {
    let original = read(
        r#"{
            "method_config": [{
                "name": [{"service": "s"}],
                "wait_for_ready": false,
                "max_request_message_bytes": 5,
                "retry_policy": {
                    "max_attempts": "4",
                    "initial_backoff": "0.1s",
                    "max_backoff": "1s",
                    "backoff_multiplier": "2.0",
                    "retryable_status_codes": [14]
                }
            }],
            "retry_throttling": {"max_tokens": 3.0, "token_ratio": "0.5"},
            "load_balancing_config": [{"pick_first": {}}],
            "health_check_config": {"service_name": "s"}
        }"#,
    );
    let json = read(&format!(
        r#"{{
            "methodConfig": [{{
                "name": [{{"service": "s"}}],
                "waitForReady": false,
                "maxRequestMessageBytes": 5,
                "retryPolicy": {RETRY}
            }}],
            "retryThrottling": {{"maxTokens": 3, "tokenRatio": 0.5}},
            "loadBalancingConfig": [{{"pick_first": {{}}}}],
            "healthCheckConfig": {{"serviceName": "s"}}
        }}"#
    ));
    assert_eq!(original, json);
}

#[test]
fn a_field_under_both_of_its_names_is_rejected() {
    let error = rejected(r#"{"methodConfig": [], "method_config": []}"#);
    assert_eq!(error.field(), "method_config");
    assert_eq!(error.reason(), "is the same field as `methodConfig`");
    read(r#"{"methodConfig": null, "method_config": []}"#);
}

#[test]
fn fields_of_another_type_are_rejected() {
    let cases = [
        ("[]", ""),
        ("null", ""),
        (r#"{"methodConfig": {}}"#, "methodConfig"),
        (r#"{"methodConfig": [null]}"#, "methodConfig[0]"),
        (
            r#"{"methodConfig": [{"name": ["s/m"]}]}"#,
            "methodConfig[0].name[0]",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": 1}]}]}"#,
            "methodConfig[0].name[0].service",
        ),
        (r#"{"retryThrottling": 1}"#, "retryThrottling"),
        (r#"{"healthCheckConfig": "s"}"#, "healthCheckConfig"),
        (
            r#"{"healthCheckConfig": {"serviceName": 1}}"#,
            "healthCheckConfig.serviceName",
        ),
        (r#"{"loadBalancingPolicy": 1}"#, "loadBalancingPolicy"),
    ];
    for (json, field) in cases {
        assert_eq!(rejected(json).field(), field, "{json}");
    }
    for (field, value) in [
        ("timeout", "1"),
        ("timeout", r#""-1s""#),
        ("waitForReady", r#""true""#),
        ("waitForReady", "1"),
        ("maxRequestMessageBytes", "-1"),
        ("maxResponseMessageBytes", "1.5"),
        ("retryPolicy", "[]"),
        ("hedgingPolicy", "3"),
    ] {
        let error = rejected_method(&format!(r#""{field}": {value}"#));
        assert_eq!(error.field(), format!("methodConfig[0].{field}"));
    }
}

#[test]
fn an_error_names_the_field_its_value_and_what_is_valid() {
    let error = rejected_method(&retry_with("maxAttempts", "1"));
    assert_eq!(error.field(), "methodConfig[0].retryPolicy.maxAttempts");
    assert_eq!(
        error.to_string(),
        "invalid service config: `methodConfig[0].retryPolicy.maxAttempts` is 1; \
         must be an integer from 2 to 4294967295; it counts the first attempt"
    );
    assert_eq!(
        rejected("[]").to_string(),
        "invalid service config: the document is a list; must be an object"
    );
}

#[test]
fn what_is_not_json_is_rejected_with_its_place() {
    let error = rejected("{\n  \"methodConfig\": [}\n}");
    assert_eq!(error.position(), Some((2, 20)));
    assert_eq!(
        error.to_string(),
        "invalid service config: line 2, column 20: expected value; must be JSON"
    );
    for json in ["", "{", "{} {}", "// comment\n{}"] {
        assert!(rejected(json).position().is_some(), "{json}");
    }
    let deep = "[".repeat(100_000);
    assert!(rejected(&deep).position().is_some());
}

#[test]
fn rule_9_unknown_fields_are_ignored() {
    let config = read(
        r#"{
            "connectionScaling": {"maxConnectionsPerSubchannel": 2},
            "comment": null,
            "methodConfig": [{
                "name": [{"service": "s", "note": 1}],
                "timeout": "1s",
                "perAttempt": {"timeout": 1}
            }]
        }"#,
    );
    assert!(config.method("/s/m").unwrap().timeout.is_some());
}

#[test]
fn rule_9_one_invalid_field_rejects_the_whole_config() {
    let error = rejected(
        r#"{"methodConfig": [
            {"name": [{"service": "good"}], "timeout": "1s"},
            {"name": [{"service": "bad"}], "timeout": "1"}
        ]}"#,
    );
    assert_eq!(error.field(), "methodConfig[1].timeout");
    // An entry without names is of no method, but invalid all the same.
    let error = rejected(r#"{"methodConfig": [{"timeout": "1"}]}"#);
    assert_eq!(error.field(), "methodConfig[0].timeout");
}

#[test]
fn rule_11_the_most_specific_entry_is_looked_up() {
    let config = read(
        r#"{"methodConfig": [
            {"name": [{}], "timeout": "1s"},
            {"name": [{"service": "p.S"}, {"service": "p.T", "method": ""}], "timeout": "2s"},
            {"name": [{"service": "p.S", "method": "M"}], "timeout": "3s"}
        ]}"#,
    );
    let timeout = |path| config.method(path).unwrap().timeout.unwrap().as_secs();
    assert_eq!(timeout("/p.S/M"), 3);
    assert_eq!(timeout("/p.S/N"), 2);
    assert_eq!(timeout("/p.T/M"), 2);
    assert_eq!(timeout("/p.U/M"), 1);
    assert_eq!(timeout("/p.S.M/M"), 1);
    assert_eq!(timeout("/p.S/m"), 2);
}

#[test]
fn rule_11_without_a_default_other_methods_have_no_config() {
    let config = read(
        r#"{"methodConfig": [
            {"name": [{"service": "s", "method": "m"}], "timeout": "1s"},
            {"name": [], "timeout": "2s"},
            {"timeout": "3s"}
        ]}"#,
    );
    assert!(config.method("/s/m").is_some());
    for path in ["/s/n", "/t/m", "", "/", "m"] {
        assert_eq!(config.method(path), None, "{path}");
    }
}

#[test]
fn rule_11_a_name_given_twice_is_rejected() {
    let same = [
        (
            r#"{"service": "s", "method": "m"}"#,
            r#"{"method": "m", "service": "s"}"#,
            "/s/m",
        ),
        (
            r#"{"service": "s"}"#,
            r#"{"service": "s", "method": null}"#,
            "/s/",
        ),
        (r#"{}"#, r#"{"service": "", "method": ""}"#, "every method"),
    ];
    for (first, second, name) in same {
        let error = rejected(&format!(
            r#"{{"methodConfig": [{{"name": [{first}]}}, {{"name": [{{"service": "x"}}, {second}]}}]}}"#
        ));
        assert_eq!(error.field(), "methodConfig[1].name[1]");
        let reason = format!("names {name}, as `methodConfig[0].name[0]` does");
        assert_eq!(error.reason(), reason);
    }
}

#[test]
fn rule_11_a_method_without_a_service_is_rejected() {
    for name in [r#"{"method": "m"}"#, r#"{"service": "", "method": "m"}"#] {
        let error = rejected(&format!(r#"{{"methodConfig": [{{"name": [{name}]}}]}}"#));
        assert_eq!(error.field(), "methodConfig[0].name[0].service");
    }
}

#[test]
fn the_health_check_service_may_be_empty() {
    let named = |name: &str| {
        let json = format!(r#"{{"healthCheckConfig": {{"serviceName": {name}}}}}"#);
        read(&json).health_check_service().map(str::to_owned)
    };
    assert_eq!(named(r#""p.S""#).as_deref(), Some("p.S"));
    assert_eq!(named(r#""""#).as_deref(), Some(""));
    assert_eq!(named("null"), None);
}
