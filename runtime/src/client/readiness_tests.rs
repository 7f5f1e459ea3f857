//! Calls while no connection can be made, or no service config is valid.

use std::{future::IntoFuture as _, time::Duration};

use tokio::time::Instant;
use tonic::Code;
use wireloom_peer::{Act, Connect, Peer, Script};

use super::scripted_peer::{Scripted as _, settle};
use crate::{
    InvalidServiceConfig,
    channel::Channel,
    method::Method,
    policy::{RetryPolicy, StatusCodes},
    service_config::ServiceConfig,
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static WAITS: Method<String, String> = Method::unary("/test.Test/Waits").with_wait_for_ready(true);
static RETRIED: Method<String, String> =
    Method::unary("/test.Test/Retried").with_retry_policy(RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable, Code::Internal]),
    });

fn request() -> String {
    "request".to_owned()
}

/// A peer that refuses so many connections first.
fn refusing(connections: usize) -> std::sync::Arc<Peer> {
    Peer::scripted(Script {
        connections: vec![Connect::Refuse; connections],
        ..Script::default()
    })
}

fn timeout_of_two_seconds() -> ServiceConfig {
    ServiceConfig::from_json(r#"{"methodConfig": [{"name": [{}], "timeout": "2s"}]}"#).unwrap()
}

fn invalid() -> Result<ServiceConfig, InvalidServiceConfig> {
    ServiceConfig::from_json(r#"{"methodConfig": [{"name": [{}], "timeout": "soon"}]}"#)
}

/// The timeout that a call on `channel` has, in milliseconds.
async fn timeout_of_call(peer: &Peer, channel: &Channel) -> Option<String> {
    channel.unary(&UNARY, request()).await.unwrap();
    let seen = peer.seen().pop().unwrap();
    seen.header("grpc-timeout").map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_call_that_waits_for_ready_waits_while_no_connection_can_be_made() {
    let peer = refusing(3);
    let start = Instant::now();
    peer.channel().unary(&WAITS, request()).await.unwrap();
    // Backoffs of 1, 1.6 and 2.56 seconds, each with a fifth of jitter.
    let waited = start.elapsed().as_secs_f64();
    assert!(
        (5.16 * 0.8..=5.16 * 1.2 + 0.01).contains(&waited),
        "{waited}"
    );
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_28_waiting_for_ready_ends_with_the_deadline() {
    let peer = refusing(1000);
    let start = Instant::now();
    let call = peer.channel().unary(&UNARY, request());
    let call = call.wait_for_ready(true).timeout(Duration::from_secs(7));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_millis(), 7000);
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_call_that_does_not_wait_fails_at_once_or_follows_its_policy() {
    let start = Instant::now();
    let status = refusing(9).channel().unary(&UNARY, request()).await;
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);

    // The channel connects again after a backoff of a second, and the call is tried again twice within two.
    let peer = refusing(1);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_call_dropped_before_it_is_sent_is_not_retried() {
    let config = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["INTERNAL"]}}]}"#;
    let peer = Peer::new([]);
    let mut channel = peer
        .channel_with(|builder| builder.service_config(ServiceConfig::from_json(config).unwrap()));
    let start = Instant::now();
    let request = http::Request::post("http://scripted/test.Test/Unary")
        .header("connection", "close")
        .body(tonic::body::Body::empty())
        .unwrap();
    let status = tower_service::Service::call(&mut channel, request).await;
    assert_eq!(status.unwrap_err().code(), Code::Internal);
    assert_eq!((peer.seen().len(), start.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_service_config_s_wait_for_ready_holds_and_the_call_s_wins() {
    let config = r#"{"methodConfig": [{"name": [{}], "waitForReady": true}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let peer = refusing(2);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let call = channel.unary(&UNARY, request()).wait_for_ready(false);
    assert_eq!(call.await.unwrap_err().code(), Code::Unavailable);
    channel.unary(&UNARY, request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rule_10_the_last_good_config_stays_when_an_update_is_rejected() {
    let peer = Peer::new([]);
    let channel = peer.channel();
    channel.update_service_config(Ok(timeout_of_two_seconds()));
    channel.update_service_config(invalid());
    assert_eq!(
        timeout_of_call(&peer, &channel).await.as_deref(),
        Some("2000000u")
    );
}

#[tokio::test(start_paused = true)]
async fn rule_10_without_a_last_good_config_the_default_stays() {
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.service_config(timeout_of_two_seconds()));
    channel.update_service_config(invalid());
    assert_eq!(
        timeout_of_call(&peer, &channel).await.as_deref(),
        Some("2000000u")
    );
}

#[tokio::test(start_paused = true)]
async fn rule_10_without_any_config_calls_fail_until_there_is_a_valid_one() {
    let peer = Peer::new([]);
    let channel = peer.channel();
    channel.update_service_config(invalid());
    let status = channel.unary(&UNARY, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("timeout"), "{status}");

    let waiting = tokio::spawn(channel.unary(&WAITS, request()).into_future());
    settle().await;
    assert!(!waiting.is_finished());
    channel.update_service_config(Ok(ServiceConfig::default()));
    waiting.await.unwrap().unwrap();
    assert_eq!(timeout_of_call(&peer, &channel).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_valid_config_follows_it() {
    let peer = Peer::new([]);
    let channel = peer.channel();
    channel.update_service_config(invalid());
    let waiting = tokio::spawn(channel.unary(&WAITS, request()).into_future());
    tokio::time::sleep(Duration::from_secs(9)).await;
    channel.update_service_config(Ok(timeout_of_two_seconds()));
    waiting.await.unwrap().unwrap();
    let seen = peer.seen().pop().unwrap();
    assert_eq!(seen.header("grpc-timeout"), Some("2000000u"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_holds_while_a_call_waits_for_a_valid_config_and_after() {
    let peer = Peer::new([]);
    let channel = peer.channel();
    channel.update_service_config(invalid());
    let call = |channel: &Channel| {
        let call = channel.unary(&WAITS, request());
        call.timeout(Duration::from_millis(1500)).into_future()
    };
    let start = Instant::now();
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), Duration::from_millis(1500));

    let waiting = tokio::spawn(call(&channel));
    tokio::time::sleep(Duration::from_millis(500)).await;
    channel.update_service_config(Ok(timeout_of_two_seconds()));
    waiting.await.unwrap().unwrap();
    let seen = peer.seen().pop().unwrap();
    assert_eq!(seen.header("grpc-timeout"), Some("1000000u"));
}

#[tokio::test(start_paused = true)]
async fn methods_that_state_a_throttling_share_the_channel_s_tokens() {
    use crate::policy::RetryThrottling;
    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };
    const TOKENS: RetryThrottling = RetryThrottling::of_thousandths(4000, 100);
    static ONE: Method<String, String> = Method::unary("/test.Test/One")
        .with_retry_policy(POLICY)
        .with_retry_throttling(TOKENS);
    static OTHER: Method<String, String> = Method::unary("/test.Test/Other")
        .with_retry_policy(POLICY)
        .with_retry_throttling(TOKENS);
    let peer = Peer::new(vec![Act::fail(Code::Unavailable); 9]);
    let channel = peer.channel();
    // 4 - 1 = 3: one retry; 3 - 1 = 2, half: no more, for either method.
    channel.unary(&ONE, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 2);
    channel.unary(&OTHER, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 3);
}
