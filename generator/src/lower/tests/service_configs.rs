//! What service configs set, and what `explain` says of them.

use super::*;
use crate::explain::explain;
use crate::service_config::ServiceConfig;

const IDEMPOTENT: &str = "option idempotency_level = IDEMPOTENT;";

/// Lowers a proto with `a.S/A`, whose options are given, by these service configs: `config0.json` and so on.
fn lowered(options: &str, configs: &[&str]) -> (Protos, Result<Model, Error>) {
    let proto = format!(
        "syntax = \"proto3\"; package a; message M {{}} service S {{ rpc A(M) returns (M) {{ {options} }} }}"
    );
    let protos = Protos::new(&[("a.proto", &proto)]);
    let read = |(at, text): (usize, &&str)| {
        let path = protos.folder.path().join(format!("config{at}.json"));
        fs::write(&path, text).unwrap();
        ServiceConfig::read(&path).unwrap()
    };
    let config = Config {
        service_configs: configs.iter().enumerate().map(read).collect(),
        ..Config::default()
    };
    let model = protos.lower_with(&config);
    (protos, model)
}

/// What is explained of `a.S/A` with these service configs.
fn explained(options: &str, configs: &[&str]) -> String {
    let (protos, model) = lowered(options, configs);
    protos.relative(&explain(&model.unwrap(), "a.S/A").unwrap().to_string())
}

#[test]
fn a_timeout_of_zero_in_a_service_config_is_taken_and_warned_of() {
    let explanation = explained(
        IDEMPOTENT,
        &[r#"{"methodConfig": [{"name": [{}], "timeout": "0s"}]}"#],
    );
    let warnings: Vec<_> = explanation
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_eq!(
        warnings,
        [
            "  warning: the timeout of 0s leaves a call no time: it sends nothing and fails with DEADLINE_EXCEEDED, unless \
             it sets a timeout of its own (methodConfig[0].timeout, config0.json:1)"
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
        let explanation = explained("", &[&config(codes)]);
        assert!(
            explanation.contains("none but transparent ones  default\n"),
            "{explanation}"
        );
        let note = "note: `methodConfig[0].retryPolicy` has no retryableStatusCodes: it counts as none, config0.json:1\n";
        assert!(explanation.contains(note), "{explanation}");
        let idempotent = explained(IDEMPOTENT, &[&config(codes)]);
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
        &[r#"{
  "methodConfig": [{
    "name": [{"service": "a.S"}],
    "waitForReady": true,
    "maxResponseMessageBytes": 5,
    "retryPolicy": {
      "initialBackoff": "1s",
      "maxBackoff": "1s", "backoffMultiplier": 1,
      "retryableStatusCodes": [14]
    }
  }],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5},
  "loadBalancingConfig": [{"round_robin": {}}]
}"#],
    );
    assert_eq!(
        explanation,
        "\
a.S/A

  value                                in force     set by
  timeout                              10s          default
  retry_policy.max_attempts            5            default
  retry_policy.initial_backoff         1s           methodConfig[0].retryPolicy.initialBackoff, config0.json:7
  retry_policy.max_backoff             1s           methodConfig[0].retryPolicy.maxBackoff, config0.json:8
  retry_policy.backoff_multiplier      1            methodConfig[0].retryPolicy.backoffMultiplier, config0.json:8
  retry_policy.retryable_status_codes  UNAVAILABLE  methodConfig[0].retryPolicy.retryableStatusCodes, config0.json:9
  wait_for_ready                       true         methodConfig[0].waitForReady, config0.json:4
  max_response_message_bytes           5            methodConfig[0].maxResponseMessageBytes, config0.json:5
  retry_throttling.max_tokens          10           retryThrottling.maxTokens, config0.json:12
  retry_throttling.token_ratio         0.5          retryThrottling.tokenRatio, config0.json:12

  note: `methodConfig[0].retryPolicy` has no maxAttempts: gRPC's cap of 5 holds, config0.json:6

note: loadBalancingConfig (round_robin) of config0.json holds for a channel: give it the file with \
         `Channel::builder(..).service_config(..)`
"
    );
}

#[test]
fn load_balancing_that_no_channel_has() {
    let warning = |balancing: &str| {
        let explanation = explained("", &[&format!("{{{balancing}}}")]);
        let mut lines = explanation.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("warning: "))
    };
    let refused = |names: &str| {
        Some(format!(
            "warning: a channel refuses config0.json, since it has no load balancing by {names}: add one of pick_first, \
             round_robin, least_request_experimental, ring_hash_experimental, outlier_detection_experimental \
             (config0.json:1)"
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

#[test]
fn load_balancing_that_is_misspelt_has_a_suggestion_and_no_channel_is_to_be_given_it() {
    let config = "{\n\"loadBalancingConfig\":\n[{\"roundrobin\": {}}]\n}";
    let explanation = explained("", &[config]);
    let warning = "warning: a channel refuses config0.json, since it has no load balancing by roundrobin: did you mean \
                   round_robin? (config0.json:3)\n";
    assert!(explanation.ends_with(warning), "{explanation}");
    assert!(!explanation.contains("note: "), "{explanation}");
}

#[test]
fn what_has_no_effect_is_noted_with_its_place_and_what_was_meant() {
    let config = r#"{"methodConfig": [{
        "name": [{"service": "a.S", "method": "B"},
            {"service": "a.S", "method": "A"}, {"service": "a.Other", "method": "B"}],
        "timout": "2s"}]}"#;
    let explanation = explained("", &[config]);
    let notes = "\nnote: `methodConfig[0].timout` is no field that is read: did you mean `timeout`? (config0.json:4)\n\
                 \nnote: `a.S` has no method `B`: known here: `A` (config0.json:2)\n";
    assert!(explanation.ends_with(notes), "{explanation}");
}

#[test]
fn a_field_that_is_left_out_has_a_default_and_a_warning_names_its_field() {
    let explanation = explained(
        IDEMPOTENT,
        &[r#"{"methodConfig": [{
            "name": [{}],
            "hedgingPolicy": {
                "maxAttempts": 9}}]}"#],
    );
    let line = |part: &str| {
        explanation
            .lines()
            .find(|line| line.contains(part))
            .unwrap()
            .trim()
    };
    assert!(
        line("hedging_delay").ends_with("  0s        default"),
        "{explanation}"
    );
    let place = "methodConfig[0].hedgingPolicy.maxAttempts, config0.json:4";
    assert!(
        line("hedging_policy.max_attempts").ends_with(place),
        "{explanation}"
    );
    assert!(
        line("warning: ").ends_with(&format!("says otherwise ({place})")),
        "{explanation}"
    );
}

/// The rows of `retry_throttling` with these service configs: the tokens, and the file that set them.
fn throttling(configs: &[&str]) -> Vec<(String, String)> {
    let explanation = explained("", configs);
    let rows = explanation.lines().filter_map(|line| {
        let words: Vec<_> = line
            .trim()
            .strip_prefix("retry_throttling.max_tokens")?
            .split_whitespace()
            .collect();
        Some((words.first()?.to_string(), words.last()?.to_string()))
    });
    rows.collect()
}

#[test]
fn throttling_holds_for_methods_that_have_no_entry() {
    let throttled = r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#;
    assert_eq!(
        throttling(&[throttled]),
        [("10".to_owned(), "config0.json:1".to_owned())]
    );
    assert_eq!(throttling(&["{}"]), []);
}

#[test]
fn of_several_files_the_throttling_of_the_last_that_is_for_the_service_holds() {
    let throttled = |service: &str, tokens: u32| {
        format!(
            r#"{{"methodConfig": [{{"name": [{{"service": "{service}", "method": "Any"}}]}}],
            "retryThrottling": {{"maxTokens": {tokens}, "tokenRatio": 0.1}}}}"#
        )
    };
    let (own, other) = (throttled("a.S", 1), throttled("b.Other", 2));
    let second = throttled("a.S", 3);
    let held = |configs: &[&str]| throttling(configs)[0].0.clone();
    assert_eq!(held(&[&own, &other, "{}"]), "1");
    assert_eq!(held(&[&own, &second, &other]), "3");
    assert_eq!(held(&[&other, "{}"]), "2");
}

#[test]
fn throttling_that_may_not_be_is_refused_with_its_path() {
    for (throttling, what) in [
        (
            r#"{"maxTokens": 0, "tokenRatio": 1}"#,
            "`retryThrottling.maxTokens` must be above 0 and at most 1000",
        ),
        (
            r#"{"maxTokens": 1000.001, "tokenRatio": 1}"#,
            "`retryThrottling.maxTokens` must be above 0 and at most 1000",
        ),
        (
            r#"{"maxTokens": 1, "tokenRatio": 0.0009}"#,
            "`retryThrottling.tokenRatio` must be at least 0.001",
        ),
        (
            r#"{"maxTokens": 1}"#,
            "`retryThrottling.tokenRatio` is missing",
        ),
    ] {
        let config = format!(r#"{{"retryThrottling": {throttling}}}"#);
        let error = lowered("", &[&config]).1.unwrap_err().to_string();
        assert!(error.ends_with(what), "{error}");
    }
}
