//! What `explain` warns of.

use super::*;
use crate::explain::explain;
use crate::service_config::ServiceConfig;

/// The warnings and notes on a method with this `wireloom.toml`; `idempotent` sets its level.
fn warnings(idempotency: &str, policy: &str) -> Vec<String> {
    let proto = format!(
        "package a; message M {{}} service S {{ rpc A(M) returns (M) {{ {idempotency} }} }}"
    );
    let proto = format!("syntax = \"proto3\";{proto}");
    let toml = format!("[methods.\"a.S/A\"]\n{policy}");
    let model = lower_all(&[("a.proto", &proto)], &toml);
    let explanation = explain(&model, "a.S/A").unwrap().to_string();
    let lines = explanation.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("warning: ") || line.starts_with("note: "))
        .map(str::to_owned)
        .collect()
}

const IDEMPOTENT: &str = "option idempotency_level = IDEMPOTENT;";

fn retry(timeout: &str, max_attempts: u32, max_backoff: &str, codes: &str) -> String {
    format!(
        "timeout = '{timeout}'\nretry_policy = {{ max_attempts = {max_attempts}, initial_backoff = '1s', \
         max_backoff = '{max_backoff}', backoff_multiplier = 2, retryable_status_codes = {codes} }}"
    )
}

#[test]
fn a_sound_policy_has_no_warning() {
    let policy = retry(
        "5s",
        3,
        "10s",
        "['UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED']",
    );
    assert_eq!(warnings("", &policy), [""; 0]);
    let policy = retry("5s", 3, "10s", "['INTERNAL']");
    assert_eq!(warnings(IDEMPOTENT, &policy), [""; 0]);
    let hedging = "hedging_policy = { max_attempts = 2, hedging_delay = '0.1s' }";
    assert_eq!(warnings(IDEMPOTENT, hedging), [""; 0]);
}

#[test]
fn a_timeout_within_the_first_backoff() {
    let policy = retry("0.8s", 3, "10s", "['UNAVAILABLE']");
    assert_eq!(
        warnings("", &policy),
        [
            "warning: the timeout of 0.8s ends the call before its first retry, which comes after 0.8s at the earliest: \
             raise the timeout, or lower initial_backoff ([methods.\"a.S/A\"], wireloom.toml:2)"
        ]
    );
    let tenth = retry("0.05s", 3, "10s", "['UNAVAILABLE']").replace("'1s'", "'0.1s'");
    assert!(warnings("", &tenth)[0].contains("comes after 0.08s at the earliest"));
    let policy = retry("0.81s", 3, "10s", "['UNAVAILABLE']");
    assert_eq!(warnings("", &policy), [""; 0]);
}

#[test]
fn a_cap_below_the_first_backoff_and_attempts_above_the_channel_s() {
    let policy = retry("9s", 6, "0.5s", "['UNAVAILABLE']");
    let warnings = warnings("", &policy);
    assert!(
        warnings[0].contains("max_backoff of 0.5s is below initial_backoff of 1s"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("at most 5 attempts of the 6"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
}

#[test]
fn codes_that_cannot_be_retried_safely_or_to_any_use() {
    let policy = retry("9s", 3, "10s", "['UNAVAILABLE', 'INTERNAL', 'NOT_FOUND']");
    let warnings = warnings("", &policy);
    assert!(
        warnings[0].starts_with("warning: NOT_FOUND says"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("warning: after INTERNAL the server"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
}

#[test]
fn hedging_of_what_may_not_be_done_twice_or_comes_too_late() {
    let hedging = "timeout = '1s'\nhedging_policy = { max_attempts = 2, hedging_delay = '1s' }";
    let warnings = warnings("", hedging);
    assert!(
        warnings[0].contains("hedging may do the method twice"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("before its first hedge"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
}

/// What is explained of `a.S/A` with this service config, `config.json`; `idempotent` sets the method's level.
fn explained(idempotency: &str, config: &str) -> String {
    let proto = format!(
        "syntax = \"proto3\"; package a; message M {{}} service S {{ rpc A(M) returns (M) {{ {idempotency} }} }}"
    );
    let protos = Protos::new(&[("a.proto", &proto), ("config.json", config)]);
    let config = ServiceConfig::read(&protos.folder.path().join("config.json")).unwrap();
    let config = Config {
        service_configs: vec![config],
        ..Config::default()
    };
    let model = protos
        .lower_with(&config)
        .unwrap_or_else(|error| panic!("{}", protos.relative(&format!("{error:?}"))));
    protos.relative(&explain(&model, "a.S/A").unwrap().to_string())
}

#[test]
fn a_timeout_of_zero_in_a_service_config_is_taken_and_warned_of() {
    let explanation = explained(
        IDEMPOTENT,
        r#"{"methodConfig": [{"name": [{}], "timeout": "0s"}]}"#,
    );
    let warnings: Vec<_> = explanation
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_eq!(
        warnings,
        [
            "  warning: the timeout of 0s leaves a call no time: it sends nothing and fails with DEADLINE_EXCEEDED, unless \
             it sets a timeout of its own (methodConfig[0], config.json:1)"
        ]
    );
}

#[test]
fn a_retry_policy_without_codes_counts_as_none() {
    let config = |codes: &str| {
        format!(
            r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {{"initialBackoff": "1s", "maxBackoff": "1s",
            "backoffMultiplier": 1{codes}}}}}]}}"#
        )
    };
    for codes in ["", r#", "retryableStatusCodes": []"#] {
        let explanation = explained("", &config(codes));
        assert!(
            explanation.contains("none but transparent ones  default\n"),
            "{explanation}"
        );
        let note = "note: `methodConfig[0].retryPolicy` has no retryableStatusCodes: it counts as none, config.json:1\n";
        assert!(explanation.contains(note), "{explanation}");
        let idempotent = explained(IDEMPOTENT, &config(codes));
        assert!(
            idempotent.contains("default for its idempotency_level"),
            "{idempotent}"
        );
    }
}

#[test]
fn a_service_config_s_values_and_notes_are_explained() {
    let explanation = explained(
        "",
        r#"{
  "methodConfig": [{
    "name": [{"service": "a.S"}],
    "waitForReady": true,
    "maxResponseMessageBytes": 5,
    "retryPolicy": {"initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}
  }],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5},
  "loadBalancingConfig": [{"round_robin": {}}]
}"#,
    );
    assert_eq!(
        explanation,
        "\
a.S/A

  value                                in force     set by
  timeout                              10s          default
  retry_policy.max_attempts            5            methodConfig[0], config.json:6
  retry_policy.initial_backoff         1s           methodConfig[0], config.json:6
  retry_policy.max_backoff             1s           methodConfig[0], config.json:6
  retry_policy.backoff_multiplier      1            methodConfig[0], config.json:6
  retry_policy.retryable_status_codes  UNAVAILABLE  methodConfig[0], config.json:6
  wait_for_ready                       true         methodConfig[0], config.json:4
  max_response_message_bytes           5            methodConfig[0], config.json:5
  retry_throttling.max_tokens          10           retryThrottling, config.json:8
  retry_throttling.token_ratio         0.5          retryThrottling, config.json:8

  note: `methodConfig[0].retryPolicy` has no maxAttempts: gRPC's cap of 5 holds, config.json:6

note: loadBalancingConfig (round_robin) of config.json holds for a channel: give it the file with \
         `Channel::builder(..).service_config(..)`
"
    );
}

#[test]
fn load_balancing_that_no_channel_has() {
    let warning = |balancing: &str| {
        let explanation = explained("", &format!("{{{balancing}}}"));
        let mut lines = explanation.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("warning: "))
    };
    let refused = |names: &str| {
        Some(format!(
            "warning: a channel refuses config.json, since it has no load balancing by {names}: add one of pick_first, \
             round_robin, least_request_experimental, ring_hash_experimental"
        ))
    };
    assert_eq!(
        warning(r#""loadBalancingConfig": [{"grpclb": {}}, {"my_lb": {}}]"#),
        refused("grpclb or my_lb")
    );
    assert_eq!(
        warning(r#""loadBalancingPolicy": "GRPCLB""#),
        refused("grpclb")
    );
    for known in [
        r#""loadBalancingConfig": [{"grpclb": {}}, {"round_robin": {}}]"#,
        r#""loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 2}}]"#,
        r#""loadBalancingConfig": [{"ring_hash_experimental": {}}]"#,
        r#""loadBalancingPolicy": "PICK_FIRST""#,
        r#""loadBalancingPolicy": "UNSPECIFIED""#,
        r#""loadBalancingConfig": null"#,
    ] {
        assert_eq!(warning(known), None, "{known}");
    }
}
