//! Policies: what is in force, and where it was set.

use super::{Protos, lower, lower_all, method};
use crate::explain::explain;
use crate::model::{AttemptPolicy, Origin};

const RETRY: &str = "retry_policy: { max_attempts: 4 initial_backoff: '0.1s' max_backoff: '1s' backoff_multiplier: 1.5 retryable_status_codes: [UNAVAILABLE, ABORTED] }";

/// One proto with a service, its option and its method's.
fn proto(service: &str, method: &str) -> String {
    format!(
        "syntax = 'proto3'; package a; import 'wireloom/options.proto'; message M {{}}
service S {{
  {service}
  rpc A(M) returns (M) {{
    {method}
  }}
}}"
    )
}

fn with(service: &str, method: &str, toml: &str) -> crate::model::MethodPolicy {
    super::method(
        &lower_all(&[("a.proto", &proto(service, method))], toml),
        "a.S/A",
    )
    .policy
}

fn timeout(policy: &crate::model::MethodPolicy) -> &str {
    policy
        .timeout
        .as_ref()
        .map_or("none", |timeout| &timeout.value.proto)
}

#[test]
fn a_unary_call_has_ten_seconds_by_default() {
    let policy = with("", "", "");
    assert_eq!(timeout(&policy), "10s");
    assert_eq!(policy.attempts, None);
}

#[test]
fn a_stream_has_no_timeout_by_default() {
    let model = lower("message M {} service S { rpc A(M) returns (stream M); }");
    assert_eq!(method(&model, "S/A").policy.timeout, None);
}

#[test]
fn an_idempotent_method_is_retried_by_default() {
    let policy = with("", "option idempotency_level = IDEMPOTENT;", "");
    let attempts = policy.attempts.unwrap();
    let AttemptPolicy::Retry(retry) = attempts.value else {
        panic!("hedging")
    };
    assert_eq!(
        (
            retry.max_attempts,
            retry.initial_backoff.proto.as_str(),
            retry.max_backoff.proto.as_str()
        ),
        (3, "0.1s", "1s")
    );
    assert_eq!(retry.retryable_status_codes[0].proto, "UNAVAILABLE");
    assert!(
        matches!(attempts.origin, Origin::IdempotencyLevel { line: 5, .. }),
        "{:?}",
        attempts.origin
    );
}

#[test]
fn a_method_option_sets_every_value() {
    let policy = with(
        "",
        &format!("option (wireloom.method) = {{ timeout: '2s'\n {RETRY} }};"),
        "",
    );
    assert_eq!(timeout(&policy), "2s");
    let attempts = policy.attempts.unwrap();
    let AttemptPolicy::Retry(retry) = attempts.value else {
        panic!("hedging")
    };
    assert_eq!(
        (retry.max_attempts, retry.backoff_multiplier_rust.as_str()),
        (4, "1.5")
    );
    let codes: Vec<_> = retry
        .retryable_status_codes
        .iter()
        .map(|code| code.rust.as_str())
        .collect();
    assert_eq!(
        codes,
        ["::wireloom::Code::Unavailable", "::wireloom::Code::Aborted"]
    );
    assert!(
        matches!(attempts.origin, Origin::MethodOption { line: 6, .. }),
        "{:?}",
        attempts.origin
    );
}

#[test]
fn an_option_may_be_set_field_by_field() {
    let policy = with(
        "",
        "option (wireloom.method).timeout = '2s';\n option (wireloom.method).hedging_policy = { max_attempts: 2 };",
        "",
    );
    assert!(matches!(
        policy.timeout.unwrap().origin,
        Origin::MethodOption { line: 5, .. }
    ));
    let attempts = policy.attempts.unwrap();
    assert!(
        matches!(attempts.origin, Origin::MethodOption { line: 6, .. }),
        "{:?}",
        attempts.origin
    );
    let AttemptPolicy::Hedging(hedging) = attempts.value else {
        panic!("retry")
    };
    assert_eq!(
        hedging.hedging_delay.rust,
        "::core::time::Duration::from_secs(0)"
    );
    assert!(hedging.non_fatal_status_codes.is_empty());
}

#[test]
fn a_method_wins_over_its_service_value_by_value() {
    let service = format!("option (wireloom.service) = {{ timeout: '5s' {RETRY} }};");
    let policy = with(
        &service,
        "option (wireloom.method) = { timeout: '2s' };",
        "",
    );
    assert_eq!(timeout(&policy), "2s");
    assert!(matches!(
        policy.attempts.unwrap().origin,
        Origin::ServiceOption { line: 3, .. }
    ));
}

#[test]
fn hedging_of_a_method_takes_the_place_of_retries_of_its_service() {
    let service = format!("option (wireloom.service) = {{ {RETRY} }};");
    let policy = with(
        &service,
        "option (wireloom.method) = { hedging_policy: { max_attempts: 2 hedging_delay: '0.5s' } };",
        "",
    );
    assert!(matches!(
        policy.attempts.unwrap().value,
        AttemptPolicy::Hedging(_)
    ));
}

#[test]
fn the_configuration_wins_over_options_and_methods_over_packages() {
    let toml = "[packages.a]\ntimeout = '7s'\n[services.\"a.S\"]\ntimeout = '8s'\n";
    let policy = with("", "option (wireloom.method) = { timeout: '2s' };", toml);
    assert_eq!(timeout(&policy), "8s");
    let policy = with(
        "",
        "",
        &format!("{toml}[methods.\"a.S/A\"]\ntimeout = '9s'"),
    );
    assert_eq!(timeout(&policy), "9s");
    let key = "methods.\"a.S/A\"".to_owned();
    assert_eq!(
        policy.timeout.unwrap().origin,
        Origin::Config {
            file: "wireloom.toml".to_owned(),
            line: 6,
            key
        }
    );
}

#[test]
fn no_timeout_and_no_retry_switch_off_what_is_below() {
    let policy = with(
        "",
        "option idempotency_level = IDEMPOTENT; option (wireloom.method) = { no_timeout: true no_retry: true };",
        "",
    );
    assert_eq!((policy.timeout, policy.attempts), (None, None));
    assert!(matches!(
        policy.no_timeout,
        Some(Origin::MethodOption { line: 5, .. })
    ));
    assert!(policy.no_retry.is_some());
}

#[test]
fn what_is_switched_off_can_be_set_again_above() {
    let policy = with(
        "option (wireloom.service) = { no_timeout: true };",
        "option (wireloom.method) = { timeout: '1s' };",
        "",
    );
    assert_eq!(timeout(&policy), "1s");
    assert_eq!(policy.no_timeout, None);
}

#[test]
fn throttling_of_a_service_is_that_of_its_methods_and_the_configuration_s_wins() {
    let service =
        "option (wireloom.service) = { retry_throttling { max_tokens: 10 token_ratio: 0.57 } };";
    let throttling = |toml: &str| with(service, "", toml).retry_throttling.unwrap();
    let of_option = throttling("");
    assert_eq!(
        (
            of_option.value.max_tokens_thousandths_rust.as_str(),
            of_option.value.token_ratio_thousandths
        ),
        ("10_000", 570)
    );
    assert!(matches!(
        of_option.origin,
        Origin::ServiceOption { line: 3, .. }
    ));
    let of_package =
        throttling("[packages.a]\nretry_throttling = { max_tokens = 2.5, token_ratio = 1 }");
    assert_eq!(of_package.value.max_tokens_thousandths, 2_500);
    assert!(matches!(of_package.origin, Origin::Config { line: 2, .. }));
}

#[test]
fn codes_in_the_configuration_are_names_in_any_case_or_numbers() {
    let toml = "[packages.a]\nretry_policy = { max_attempts = 2, initial_backoff = '1s', max_backoff = '0.5s', backoff_multiplier = 2, retryable_status_codes = ['unavailable', 10, 'UNAVAILABLE'] }";
    let AttemptPolicy::Retry(retry) = with("", "", toml).attempts.unwrap().value else {
        panic!("hedging")
    };
    let codes: Vec<_> = retry
        .retryable_status_codes
        .iter()
        .map(|code| code.proto.as_str())
        .collect();
    assert_eq!(codes, ["UNAVAILABLE", "ABORTED"]);
    assert_eq!(retry.backoff_multiplier_rust, "2.0");
}

#[test]
fn an_explanation_is_a_table_of_values_and_where_they_were_set() {
    let text = proto(
        "option (wireloom.service) = { timeout: '5s' };",
        "option idempotency_level = IDEMPOTENT;",
    );
    let protos = Protos::new(&[("a.proto", &text)]);
    let explanation = explain(&protos.lower("").unwrap(), "a.S/A").unwrap();
    assert_eq!(
        protos.relative(&explanation.to_string()),
        "\
a.S/A

  value                                in force     set by
  timeout                              5s           option (wireloom.service), a.proto:3
  retry_policy.max_attempts            3            default for its idempotency_level, a.proto:5
  retry_policy.initial_backoff         0.1s         default for its idempotency_level, a.proto:5
  retry_policy.max_backoff             1s           default for its idempotency_level, a.proto:5
  retry_policy.backoff_multiplier      2            default for its idempotency_level, a.proto:5
  retry_policy.retryable_status_codes  UNAVAILABLE  default for its idempotency_level, a.proto:5
"
    );
}

#[test]
fn each_field_of_a_policy_is_explained_with_its_own_line() {
    let option = RETRY.replace(" max_backoff", "\n max_backoff");
    let text = proto("", &format!("option (wireloom.method) = {{ {option} }};"));
    let protos = Protos::new(&[("a.proto", &text)]);
    let explanation = explain(&protos.lower("").unwrap(), "a.S/A").unwrap();
    let explanation = protos.relative(&explanation.to_string());
    for (field, line) in [("initial_backoff", 5), ("max_backoff", 6)] {
        let row = explanation.lines().find(|row| row.contains(field)).unwrap();
        let place = format!("option (wireloom.method), a.proto:{line}");
        assert!(row.ends_with(&place), "{explanation}");
    }
}

#[test]
fn a_service_is_explained_method_by_method() {
    let model =
        lower("package a; message M {} service S { rpc A(M) returns (M); rpc B(M) returns (M); }");
    let explanation = explain(&model, "a.S").unwrap().to_string();
    assert!(explanation.contains("a.S/A\n") && explanation.contains("a.S/B\n"));
}

#[test]
fn a_path_on_the_wire_is_explained() {
    let model = lower("package a; message M {} service S { rpc A(M) returns (M); }");
    assert_eq!(
        explain(&model, "/a.S/A").unwrap(),
        explain(&model, "a.S/A").unwrap()
    );
}

#[test]
fn a_path_that_is_not_there_has_a_suggestion() {
    let model = lower("package a; message M {} service S { rpc Get(M) returns (M); }");
    let error = explain(&model, "a.S/Gte").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no method, service or package `a.S/Gte` in the protos"
    );
    assert_eq!(error.help(), Some("did you mean `a.S/Get`?"));
}

#[test]
fn who_may_call_is_explained_and_so_is_that_nobody_may_where_it_is_said_of_others() {
    let proto = "syntax = \"proto3\";
package a;
import \"wireloom/options.proto\";
service S {
  rpc A(M) returns (M) {
    option (wireloom.method) = { authorization: { scopes: ['x', 'y'] identities: '*.test' } };
  }
  rpc B(M) returns (M);
}
message M {}";
    let protos = Protos::new(&[("a.proto", proto)]);
    let rows = |toml: &str, path: &str| {
        let explanation = explain(&protos.lower(toml).unwrap(), path).unwrap();
        let lines = protos.relative(&explanation.to_string());
        let lines = lines.lines().filter(|line| line.contains("authorization"));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.map(words).collect::<Vec<_>>()
    };
    let option = "option (wireloom.method), a.proto:6";
    let of_option = [
        format!("authorization.scopes x, y {option}"),
        format!("authorization.identities *.test {option}"),
    ];
    assert_eq!(rows("", "a.S/A"), of_option);
    assert_eq!(rows("", "a.S/B"), ["authorization nobody may call default"]);
    let toml = "[packages.a]\nauthorization = { public = true }";
    let of_toml = ["authorization public [packages.\"a\"], wireloom.toml:2"];
    assert_eq!(rows(toml, "a.S/A"), of_toml);
    assert_eq!(rows(toml, "a.S/B"), of_toml);
}
