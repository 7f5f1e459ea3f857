//! What `explain` warns of.

use super::*;
use crate::explain::explain;

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

#[test]
fn waiting_for_a_connection_without_a_timeout() {
    let waits = "wait_for_ready = true\n";
    assert_eq!(
        warnings("", &format!("{waits}no_timeout = true")),
        [
            "warning: wait_for_ready without a timeout waits for as long as no connection can be made: set a timeout \
             ([methods.\"a.S/A\"], wireloom.toml:2)"
        ]
    );
    assert_eq!(warnings("", &format!("{waits}timeout = '9s'")), [""; 0]);
    let off = "wait_for_ready = false\nno_timeout = true";
    assert_eq!(warnings("", off), [""; 0]);
}
