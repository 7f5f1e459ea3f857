//! Policies of retries and hedging.

use std::time::Duration;

use tonic::Code;

use super::{HEDGING, RETRY, method, policy_with, rejected_method, retry_with};
use crate::policy::{AttemptPolicy, HedgingPolicy, RetryPolicy, StatusCodes};

fn hedging_with(field: &str, value: &str) -> String {
    policy_with("hedgingPolicy", HEDGING, field, value)
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
