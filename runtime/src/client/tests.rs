//! The rules of a correct call, under a paused clock, against a scripted peer.

use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Status};

use super::{
    bounds::Bounds,
    scripted_peer::{Act, Peer},
};
use crate::{
    deadline::Deadline,
    method::Method,
    policy::{RetryPolicy, StatusCodes},
};

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(10),
    backoff_multiplier: 2.0,
    retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static RETRIED: Method<String, String> =
    Method::unary("/test.Test/Retried").with_retry_policy(POLICY);
static RETRIED_STREAM: Method<String, String> =
    Method::client_streaming("/test.Test/RetriedStream").with_retry_policy(POLICY);

const UNAVAILABLE: Act = Act::TrailersOnly(Code::Unavailable);

fn request() -> String {
    "request".to_owned()
}

#[tokio::test(start_paused = true)]
async fn rule_15_a_backoff_wait_ends_with_the_deadline_as_deadline_exceeded() {
    let peer = Peer::new([UNAVAILABLE]);
    let start = Instant::now();
    let timeout = Duration::from_millis(500);
    let status = peer
        .channel()
        .unary(&RETRIED, request())
        .timeout(timeout)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_millis(), 500);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_16_attempts_are_apart_by_the_jittered_backoff() {
    let peer = Peer::new([UNAVAILABLE, UNAVAILABLE]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let times: Vec<_> = peer.seen().iter().map(|seen| seen.at).collect();
    let delays = [times[1] - times[0], times[2] - times[1]];
    for (delay, backoff) in delays.into_iter().zip([1.0, 2.0]) {
        // The timer's granularity is a millisecond.
        let range = backoff * 0.8 - 0.001..=backoff * 1.2 + 0.002;
        assert!(
            range.contains(&delay.as_secs_f64()),
            "{delay:?} is not in {range:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_stream_that_never_opened_is_retried() {
    let peer = Peer::new([Act::RefuseConnection, Act::RefuseConnection, Act::Answer]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_code_that_is_not_listed_is_not_retried() {
    let peer = Peer::new([Act::TrailersOnly(Code::Internal)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_18_response_headers_commit_the_call() {
    let peer = Peer::new([Act::HeadersThen(Code::Unavailable)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_message_over_the_buffers_size_is_sent_but_not_retried() {
    let peer = Peer::new([UNAVAILABLE]);
    let large = "x".repeat(300 << 10);
    let status = peer.channel().unary(&RETRIED, large).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
    assert!(peer.seen()[0].body.len() > 300 << 10);
}

#[tokio::test(start_paused = true)]
async fn rule_22_a_retry_replays_messages_and_half_close_in_order() {
    let peer = Peer::new([UNAVAILABLE, UNAVAILABLE]);
    let messages = stream::iter(["one", "two", "three"].map(str::to_owned));
    peer.channel()
        .client_streaming(&RETRIED_STREAM, messages)
        .await
        .unwrap();
    let bodies: Vec<_> = peer.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies.len(), 3);
    let text = String::from_utf8_lossy(&bodies[0]).into_owned();
    let positions = ["one", "two", "three"].map(|word| text.find(word).unwrap());
    assert!(positions.is_sorted());
    assert!(bodies.iter().all(|body| body == &bodies[0]));
}

#[tokio::test(start_paused = true)]
async fn rule_23_each_attempt_picks_a_connection_anew() {
    let peer = Peer::new([Act::TrailersOnlyAndClose(Code::Unavailable), Act::Answer]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let connections: Vec<_> = peer.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn rule_24_grpc_timeout_is_recomputed_for_each_attempt() {
    let peer = Peer::new([UNAVAILABLE]);
    peer.channel()
        .unary(&RETRIED, request())
        .timeout(Duration::from_secs(10))
        .await
        .unwrap();
    let seen = peer.seen();
    assert_eq!(seen[0].headers["grpc-timeout"], "10000000u");
    let waited = seen[1].at - seen[0].at;
    let left = Duration::from_secs(10) - waited;
    assert_eq!(
        seen[1].headers["grpc-timeout"],
        format!("{}u", left.as_micros())
    );
}

#[tokio::test(start_paused = true)]
async fn rule_25_previous_attempts_are_counted_transparent_ones_apart() {
    let peer = Peer::new([Act::RefuseStream, UNAVAILABLE, UNAVAILABLE, Act::Answer]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let counts: Vec<_> = peer
        .seen()
        .into_iter()
        .map(|seen| {
            seen.headers
                .get("grpc-previous-rpc-attempts")
                .map(|v| v.to_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        counts,
        [None, None, Some("1".to_owned()), Some("2".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn rule_26_the_message_says_how_many_attempts_failed() {
    let peer = Peer::new([UNAVAILABLE; 3]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("3 attempts failed"), "{status}");
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_27_turning_configured_retries_off_leaves_transparent_ones_on() {
    let peer = Peer::new([Act::RefuseStream, UNAVAILABLE]);
    let status = peer
        .channel()
        .unary(&RETRIED, request())
        .no_retry()
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_3_the_channels_cap_lowers_max_attempts() {
    static EAGER: Method<String, String> =
        Method::unary("/test.Test/Eager").with_retry_policy(RetryPolicy {
            max_attempts: 50,
            ..POLICY
        });
    let peer = Peer::new([UNAVAILABLE; 50]);
    peer.channel().unary(&EAGER, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn rule_50_expiry_resets_the_stream() {
    let peer = Peer::new([Act::Stall]);
    let call = peer
        .channel()
        .unary(&UNARY, request())
        .timeout(Duration::from_secs(1));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn rule_49_a_reset_at_the_deadline_is_deadline_exceeded_and_before_it_is_not() {
    let bounds = Bounds::new(Some(Deadline::after(Duration::from_secs(1))), None);
    assert_eq!(
        bounds.judge(Status::cancelled("reset")).code(),
        Code::Cancelled
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        bounds.judge(Status::cancelled("reset")).code(),
        Code::DeadlineExceeded
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_server_is_the_code_of_its_reason() {
    let reasons = [
        (Reason::CANCEL, Code::Cancelled),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Reason::INTERNAL_ERROR, Code::Internal),
    ];
    for (reason, code) in reasons {
        let peer = Peer::new([Act::Reset(reason)]);
        let status = peer.channel().unary(&UNARY, request()).await.unwrap_err();
        assert_eq!(status.code(), code, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_request_stream_holds_at_most_what_the_window_takes() {
    let peer = Peer::new([Act::Answer]);
    let messages = stream::iter(0..).map(|_| "x".repeat(1 << 16)).take(64);
    peer.channel()
        .client_streaming(&RETRIED_STREAM, messages)
        .await
        .unwrap();
    assert!(peer.seen()[0].body.len() > 64 << 16);
}
