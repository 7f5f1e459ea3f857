mod published;

use std::time::Duration;

use tonic::Code;

use super::*;
use crate::policy::{HedgingPolicy, RetryPolicy, StatusCodes};

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

fn hedging_with(field: &str, value: &str) -> String {
    policy_with("hedgingPolicy", HEDGING, field, value)
}

/// A method's policy, in which `field` is `value`.
fn policy_with(name: &str, policy: &str, field: &str, value: &str) -> String {
    let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    policy[field] = serde_json::from_str(value).unwrap();
    format!(r#""{name}": {policy}"#)
}

fn retry(fields: &str) -> RetryPolicy {
    match method(fields).attempts {
        AttemptPolicy::Retry(policy) => policy,
        other => panic!("{other:?}"),
    }
}

fn hedging(fields: &str) -> HedgingPolicy {
    match method(fields).attempts {
        AttemptPolicy::Hedging(policy) => policy,
        other => panic!("{other:?}"),
    }
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
fn rule_1_retries_and_hedging_exclude_each_other() {
    let error = rejected_method(&format!(
        r#""retryPolicy": {RETRY}, "hedgingPolicy": {HEDGING}"#
    ));
    assert_eq!(error.field(), "methodConfig[0].hedgingPolicy");
    assert_eq!(
        error.reason(),
        "stands beside `methodConfig[0].retryPolicy`"
    );
}

#[test]
fn rule_1_a_method_without_a_policy_makes_one_attempt() {
    assert_eq!(method(r#""timeout": "1s""#).attempts, AttemptPolicy::Single);
    let null = method(r#""retryPolicy": null, "hedgingPolicy": null"#);
    assert_eq!(null.attempts, AttemptPolicy::Single);
}

#[test]
fn rule_2_max_attempts_is_an_integer_above_1() {
    for (value, attempts) in [
        ("2", 2),
        ("2.0", 2),
        (r#""7""#, 7),
        ("4294967295", u32::MAX),
    ] {
        assert_eq!(
            retry(&retry_with("maxAttempts", value)).max_attempts,
            attempts
        );
        assert_eq!(
            hedging(&hedging_with("maxAttempts", value)).max_attempts,
            attempts
        );
    }
    for value in [
        "null",
        "-2",
        "0",
        "1",
        "2.5",
        "4294967296",
        r#""two""#,
        "[2]",
    ] {
        let error = rejected_method(&retry_with("maxAttempts", value));
        assert_eq!(error.field(), "methodConfig[0].retryPolicy.maxAttempts");
        let error = rejected_method(&hedging_with("maxAttempts", value));
        assert_eq!(error.field(), "methodConfig[0].hedgingPolicy.maxAttempts");
    }
}

#[test]
fn rule_4_backoffs_are_required_and_above_zero() {
    let policy = retry(&retry_with("initialBackoff", r#""0.000000001s""#));
    assert_eq!(policy.initial_backoff, Duration::from_nanos(1));
    for field in ["initialBackoff", "maxBackoff"] {
        for value in ["null", "1", r#""0s""#, r#""0.0s""#, r#""-1s""#, r#""1ms""#] {
            let error = rejected_method(&retry_with(field, value));
            let path = format!("methodConfig[0].retryPolicy.{field}");
            assert_eq!(error.field(), path, "{value}");
        }
    }
}

#[test]
fn rule_5_backoff_multiplier_is_required_and_above_zero() {
    for (value, multiplier) in [("1.3", 1.3), ("2", 2.0), (r#""0.5""#, 0.5)] {
        let policy = retry(&retry_with("backoffMultiplier", value));
        assert!((policy.backoff_multiplier - multiplier).abs() < 1e-12);
    }
    for value in ["null", "0", "-1", r#""NaN""#, r#""Infinity""#, "true"] {
        let error = rejected_method(&retry_with("backoffMultiplier", value));
        let path = "methodConfig[0].retryPolicy.backoffMultiplier";
        assert_eq!(error.field(), path, "{value}");
    }
}

#[test]
fn rule_6_codes_are_integers_or_names_in_any_case() {
    let value = r#"["UNAVAILABLE", "aborted", "Resource_Exhausted", 4, 1.0, 14]"#;
    let policy = retry(&retry_with("retryableStatusCodes", value));
    let expected = StatusCodes::new(&[
        Code::Unavailable,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::DeadlineExceeded,
        Code::Cancelled,
    ]);
    assert_eq!(policy.retryable_status_codes, expected);
}

#[test]
fn rule_6_codes_are_known_and_failures() {
    for code in ["\"OOPS\"", "\"\"", "17", "-1", "1.5", "null", "0", "\"OK\""] {
        let codes = format!(r#"["UNAVAILABLE", {code}]"#);
        let error = rejected_method(&retry_with("retryableStatusCodes", &codes));
        let path = "methodConfig[0].retryPolicy.retryableStatusCodes[1]";
        assert_eq!(error.field(), path, "{code}");
    }
}

#[test]
fn rule_6_retryable_codes_are_not_empty() {
    for (value, reason) in [("[]", "is empty"), ("null", "is missing")] {
        let error = rejected_method(&retry_with("retryableStatusCodes", value));
        assert_eq!(
            error.field(),
            "methodConfig[0].retryPolicy.retryableStatusCodes"
        );
        assert_eq!(error.reason(), reason);
    }
}

#[test]
fn rule_7_hedging_needs_neither_a_delay_nor_codes() {
    for fields in [
        format!(r#""hedgingPolicy": {HEDGING}"#),
        hedging_with("hedgingDelay", r#""0s""#),
        hedging_with("nonFatalStatusCodes", "[]"),
    ] {
        let expected = HedgingPolicy {
            max_attempts: 3,
            hedging_delay: Duration::ZERO,
            non_fatal_status_codes: StatusCodes::default(),
        };
        assert_eq!(hedging(&fields), expected);
    }
    let policy = hedging(&hedging_with("nonFatalStatusCodes", r#"["unavailable"]"#));
    assert!(policy.non_fatal_status_codes.contains(Code::Unavailable));
    let policy = hedging(&hedging_with("hedgingDelay", r#""0.25s""#));
    assert_eq!(policy.hedging_delay, Duration::from_millis(250));
}

#[test]
fn rule_8_throttling_is_read_in_thousandths() {
    let cases = [
        ("10", "0.1", (10_000, 100)),
        ("1000", "1", (1_000_000, 1000)),
        (r#""10""#, r#""0.5""#, (10_000, 500)),
        ("0.5", "0.001", (500, 1)),
        ("1e2", "1e9", (100_000, u32::MAX)),
    ];
    for (max_tokens, token_ratio, thousandths) in cases {
        let throttling = read_throttling(max_tokens, token_ratio).unwrap();
        let read = (
            throttling.max_tokens_thousandths(),
            throttling.token_ratio_thousandths(),
        );
        assert_eq!(read, thousandths, "{max_tokens} {token_ratio}");
    }
}

#[test]
fn rule_8_token_ratio_is_truncated_to_three_decimals() {
    for (value, thousandths) in [
        ("0.5466", 546),
        ("0.57", 570),
        ("0.9999", 999),
        ("1.2345", 1234),
    ] {
        let throttling = read_throttling("10", value).unwrap();
        assert_eq!(throttling.token_ratio_thousandths(), thousandths, "{value}");
    }
}

#[test]
fn rule_8_tokens_out_of_bounds_are_rejected() {
    for value in ["null", "0", "-1", "1000.5", "1001", "1e300", "0.0009"] {
        let error = read_throttling(value, "0.1").unwrap_err();
        assert_eq!(error.field(), "retryThrottling.maxTokens", "{value}");
    }
    for value in ["null", "0", "-0.0", "-1", "0.0009", r#""x""#] {
        let error = read_throttling("10", value).unwrap_err();
        assert_eq!(error.field(), "retryThrottling.tokenRatio", "{value}");
    }
}

fn read_throttling(
    max_tokens: &str,
    token_ratio: &str,
) -> Result<RetryThrottling, InvalidServiceConfig> {
    let json = format!(
        r#"{{"retryThrottling": {{"maxTokens": {max_tokens}, "tokenRatio": {token_ratio}}}}}"#
    );
    ServiceConfig::from_json(&json).map(|config| config.retry_throttling().unwrap())
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
