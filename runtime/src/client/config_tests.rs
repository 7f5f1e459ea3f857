//! Calls under a service config, by the rules.

use std::time::Duration;

use tonic::Code;
use wireloom_peer::{Act, Peer};

use super::scripted_peer::{Scripted as _, unavailable};
use crate::{
    RetryPolicy, StatusCodes, channel::Channel, method::Method, service_config::ServiceConfig,
};

static UNARY: Method<String, String> =
    Method::unary("/test.Test/Unary").with_timeout(Duration::from_secs(100));

/// A config whose calls are retried, with what `throttling` says.
fn retrying(throttling: &str) -> ServiceConfig {
    let json = format!(
        r#"{{
            "methodConfig": [{{
                "name": [{{}}],
                "retryPolicy": {{
                    "maxAttempts": 3,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"]
                }}
            }}]
            {throttling}
        }}"#
    );
    ServiceConfig::from_json(&json).unwrap()
}

const TWO_TOKENS: &str = r#", "retryThrottling": {"maxTokens": 2, "tokenRatio": 0.5}"#;

async fn call(channel: &Channel) -> Result<String, tonic::Status> {
    channel
        .unary(&UNARY, "request".to_owned())
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test(start_paused = true)]
async fn a_config_s_retry_policy_holds_for_its_methods() {
    let peer = Peer::new([unavailable(), unavailable()]);
    let channel = peer.channel_with(|builder| builder.service_config(retrying("")));
    call(&channel).await.unwrap();
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_config_leaves_out_stays_as_the_method_has_it() {
    static RETRIED: Method<String, String> =
        Method::unary("/test.Test/Unary").with_retry_policy(RetryPolicy {
            max_attempts: 2,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            backoff_multiplier: 2.0,
            retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
        });
    let config = r#"{"methodConfig": [{"name": [{}], "timeout": "2s"}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let peer = Peer::new([unavailable()]);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let call = channel.unary(&RETRIED, "request".to_owned());
    call.await.unwrap();
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_set_on_the_call_wins_over_the_config_s_policy() {
    let peer = Peer::new([unavailable()]);
    let channel = peer.channel_with(|builder| builder.service_config(retrying("")));
    channel
        .unary(&UNARY, "request".to_owned())
        .no_retry()
        .await
        .unwrap_err();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_13_the_deadline_is_the_earliest_of_the_caller_s_and_the_config_s() {
    let config = r#"{"methodConfig": [{"name": [{"service": "test.Test"}], "timeout": "2s"}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let timeouts = [None, Some(1), Some(60)];
    for timeout in timeouts {
        let call = channel.unary(&UNARY, "request".to_owned());
        let call = match timeout {
            Some(seconds) => call.timeout(Duration::from_secs(seconds)),
            None => call,
        };
        call.await.unwrap();
    }
    let sent: Vec<_> = peer
        .seen()
        .into_iter()
        .map(|seen| seen.headers["grpc-timeout"].clone())
        .collect();
    assert_eq!(sent, ["2000000u", "1000000u", "2000000u"]);
}

#[tokio::test(start_paused = true)]
async fn rule_47_a_config_s_timeout_of_zero_sends_nothing() {
    let config = r#"{"methodConfig": [{"name": [{}], "timeout": "0s"}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(peer.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_34_and_35_failed_attempts_cost_tokens_and_at_half_nothing_is_retried() {
    let peer = Peer::new(vec![unavailable(); 4]);
    let channel = peer.channel_with(|builder| builder.service_config(retrying(TWO_TOKENS)));
    // The first failure leaves one of two tokens: half, so there is no retry, and no waiting.
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_34_successes_give_tokens_back() {
    let script = [
        unavailable(),
        Act::read().answer(),
        Act::read().answer(),
        unavailable(),
        unavailable(),
    ];
    let peer = Peer::new(script);
    let four_tokens = r#", "retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}"#;
    let channel = peer.channel_with(|builder| builder.service_config(retrying(four_tokens)));
    // 4 - 1 = 3, retried: 3.5; a success: 4; a failure: 3, retried, fails: 2, half: no more.
    call(&channel).await.unwrap();
    call(&channel).await.unwrap();
    call(&channel).await.unwrap_err();
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn rule_34_a_code_that_is_not_retryable_costs_nothing() {
    let mut script = vec![Act::fail(Code::Internal); 3];
    script.push(unavailable());
    let peer = Peer::new(script);
    let three_tokens = r#", "retryThrottling": {"maxTokens": 3, "tokenRatio": 0.1}"#;
    let channel = peer.channel_with(|builder| builder.service_config(retrying(three_tokens)));
    for _ in 0..3 {
        call(&channel).await.unwrap_err();
    }
    call(&channel).await.unwrap();
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn rule_36_a_new_config_gets_a_fresh_bucket() {
    let peer = Peer::new([unavailable(), unavailable(), Act::read().answer()]);
    let channel = peer.channel_with(|builder| builder.service_config(retrying(TWO_TOKENS)));
    call(&channel).await.unwrap_err();
    let three_tokens = r#", "retryThrottling": {"maxTokens": 3, "tokenRatio": 0.5}"#;
    channel.set_service_config(retrying(three_tokens));
    call(&channel).await.unwrap();
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_44_at_the_threshold_only_the_first_attempt_is_hedged() {
    let json = format!(
        r#"{{
            "methodConfig": [{{
                "name": [{{}}],
                "hedgingPolicy": {{
                    "maxAttempts": 3,
                    "hedgingDelay": "0.1s",
                    "nonFatalStatusCodes": ["UNAVAILABLE"]
                }}
            }}]
            {TWO_TOKENS}
        }}"#
    );
    let config = ServiceConfig::from_json(&json).unwrap();
    let peer = Peer::new([unavailable(), Act::read().wait(5000).answer()]);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    call(&channel).await.unwrap_err();
    call(&channel).await.unwrap();
    assert_eq!(peer.seen().len(), 2);
}
