//! The rules of a correct call, under a paused clock, against a scripted peer.

use std::{future::IntoFuture as _, time::Duration};

use h2::Reason;
use tokio::time::Instant;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Status};
use wireloom_peer::{Act, Connect, Last, Peer, Script};

use super::{
    bounds::Bounds,
    scripted_peer::{Scripted as _, previous_attempts, settle, times, unavailable},
};
use crate::{
    deadline::Deadline,
    method::Method,
    policy::{HedgingPolicy, RetryPolicy, StatusCodes},
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

fn request() -> String {
    "request".to_owned()
}

#[tokio::test(start_paused = true)]
async fn rule_15_a_backoff_wait_ends_with_the_deadline_as_deadline_exceeded() {
    let peer = Peer::new([unavailable()]);
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
    let peer = Peer::new([unavailable(), unavailable()]);
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
    let peer = Peer::scripted(Script {
        connections: vec![Connect::Refuse, Connect::Refuse],
        ..Script::default()
    });
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_code_that_is_not_listed_is_not_retried() {
    let peer = Peer::new([Act::fail(Code::Internal)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_18_response_headers_commit_the_call() {
    let peer = Peer::new([Act::read().headers().trailers(Code::Unavailable)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_message_over_the_buffers_size_is_sent_but_not_retried() {
    let peer = Peer::new([unavailable()]);
    let large = "x".repeat(300 << 10);
    let status = peer.channel().unary(&RETRIED, large).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
    assert!(peer.seen()[0].body.len() > 300 << 10);
}

#[tokio::test(start_paused = true)]
async fn rule_22_a_retry_replays_messages_and_half_close_in_order() {
    let peer = Peer::new([unavailable(), unavailable()]);
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
    let peer = Peer::new([Act::read()
        .go_away(Last::This)
        .trailers_only(Code::Unavailable, &[])
        .close()]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let connections: Vec<_> = peer.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn rule_24_grpc_timeout_is_recomputed_for_each_attempt() {
    let peer = Peer::new([unavailable()]);
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
    let peer = Peer::new([
        Act::refuse_stream(),
        unavailable(),
        unavailable(),
        Act::read().answer(),
    ]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert_eq!(
        previous_attempts(&peer),
        [None, None, Some("1".to_owned()), Some("2".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn rule_26_the_message_says_how_many_attempts_failed() {
    let peer = Peer::new(vec![unavailable(); 3]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("3 attempts failed"), "{status}");
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_27_turning_configured_retries_off_leaves_transparent_ones_on() {
    let peer = Peer::new([Act::refuse_stream(), unavailable()]);
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
async fn rule_29_the_next_attempt_comes_after_exactly_the_pushback() {
    let peer = Peer::new([Act::push_back(Code::Unavailable, "4000")]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let seen = peer.seen();
    assert_eq!((seen[1].at - seen[0].at).as_millis(), 4000);
}

#[tokio::test(start_paused = true)]
async fn rule_30_a_pushback_that_says_stop_ends_the_call() {
    let peer = Peer::new([Act::push_back(Code::Unavailable, "-1")]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_31_pushback_raises_no_attempts_and_makes_no_code_retryable() {
    let peer = Peer::new(vec![Act::push_back(Code::Unavailable, "1"); 5]);
    peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 3);

    let peer = Peer::new([Act::push_back(Code::Internal, "1")]);
    peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_32_after_a_pushback_the_backoff_starts_again() {
    static PATIENT: Method<String, String> =
        Method::unary("/test.Test/Patient").with_retry_policy(RetryPolicy {
            max_attempts: 5,
            ..POLICY
        });
    let peer = Peer::new([
        unavailable(),
        unavailable(),
        Act::push_back(Code::Unavailable, "1"),
        unavailable(),
    ]);
    peer.channel().unary(&PATIENT, request()).await.unwrap();
    let seen = peer.seen();
    let delay = (seen[4].at - seen[3].at).as_secs_f64();
    assert!((0.799..=1.202).contains(&delay), "{delay}");
}

const HEDGING: HedgingPolicy = HedgingPolicy {
    max_attempts: 3,
    hedging_delay: Duration::from_millis(100),
    non_fatal_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

static HEDGED: Method<String, String> =
    Method::unary("/test.Test/Hedged").with_hedging_policy(HEDGING);
static HEDGED_STREAM: Method<String, String> =
    Method::client_streaming("/test.Test/HedgedStream").with_hedging_policy(HEDGING);

#[tokio::test(start_paused = true)]
async fn rule_41_one_attempt_goes_at_once_then_one_every_hedging_delay() {
    let peer = Peer::new([Act::stall(), Act::stall(), Act::read().wait(1000).answer()]);
    peer.channel().unary(&HEDGED, request()).await.unwrap();
    let times = times(&peer);
    assert_eq!(times.len(), 3);
    assert!(
        times[1].abs_diff(100) <= 1 && times[2].abs_diff(200) <= 2,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_41_one_deadline_bounds_all_hedges() {
    let peer = Peer::new(vec![Act::stall(); 3]);
    let call = peer
        .channel()
        .unary(&HEDGED, request())
        .timeout(Duration::from_millis(250));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    settle().await;
    assert!(
        peer.seen()
            .iter()
            .all(|attempt| attempt.reset == Some(Reason::CANCEL))
    );
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_7_without_a_delay_all_attempts_go_at_once() {
    static EAGER: Method<String, String> =
        Method::unary("/test.Test/Eager").with_hedging_policy(HedgingPolicy {
            hedging_delay: Duration::ZERO,
            ..HEDGING
        });
    let peer = Peer::new([Act::stall(), Act::stall(), Act::read().wait(10).answer()]);
    peer.channel().unary(&EAGER, request()).await.unwrap();
    let times = times(&peer);
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| *time <= 2), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn rule_42_an_answer_cancels_the_others_on_the_wire() {
    let peer = Peer::new([Act::stall(), Act::read().wait(10).answer()]);
    let answer = peer.channel().unary(&HEDGED, request()).await.unwrap();
    assert_eq!(answer.into_inner(), "answer");
    settle().await;
    assert_eq!(peer.seen().len(), 2);
    assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn rule_42_a_fatal_code_ends_the_call_and_cancels_the_others() {
    let peer = Peer::new([Act::stall(), Act::fail(Code::Internal)]);
    let status = peer.channel().unary(&HEDGED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    settle().await;
    assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn rule_42_a_non_fatal_code_sends_the_next_hedge_now_and_resumes_the_delay() {
    let peer = Peer::new([
        Act::read().wait(30).trailers_only(Code::Unavailable, &[]),
        Act::stall(),
        Act::read().answer(),
    ]);
    peer.channel().unary(&HEDGED, request()).await.unwrap();
    let times = times(&peer);
    assert!(
        times[1].abs_diff(30) <= 2 && times[2].abs_diff(130) <= 4,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_42_when_all_have_failed_the_last_status_is_the_calls() {
    let peer = Peer::new(vec![unavailable(); 3]);
    let status = peer.channel().unary(&HEDGED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("3 attempts failed"), "{status}");
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_43_a_pushback_that_says_stop_sends_no_new_hedges() {
    let peer = Peer::new([
        Act::read().wait(5000).answer(),
        Act::push_back(Code::Unavailable, "-1"),
    ]);
    peer.channel().unary(&HEDGED, request()).await.unwrap();
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_43_a_pushback_sends_the_next_hedge_then() {
    let peer = Peer::new([
        Act::push_back(Code::Unavailable, "700"),
        Act::stall(),
        Act::read().answer(),
    ]);
    peer.channel().unary(&HEDGED, request()).await.unwrap();
    let times = times(&peer);
    assert!(
        times[1].abs_diff(700) <= 2 && times[2].abs_diff(800) <= 4,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_25_hedges_count_the_attempts_before_them() {
    let peer = Peer::new([Act::stall(), Act::stall(), Act::read().answer()]);
    peer.channel().unary(&HEDGED, request()).await.unwrap();
    assert_eq!(
        previous_attempts(&peer),
        [None, Some("1".to_owned()), Some("2".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedged_stream_sends_every_message_on_every_attempt() {
    let peer = Peer::new([Act::stall(), Act::stall(), Act::read().answer()]);
    let (messages, queue) = tokio::sync::mpsc::channel(1);
    let queue = stream::wrappers::ReceiverStream::new(queue);
    let call = peer.channel().client_streaming(&HEDGED_STREAM, queue);
    let call = tokio::spawn(call.into_future());
    for word in ["one", "two", "three"] {
        messages.send(word.to_owned()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(90)).await;
    }
    drop(messages);
    call.await.unwrap().unwrap();
    settle().await;
    let bodies: Vec<_> = peer.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(
        bodies
            .iter()
            .all(|body| body == &bodies[0] && body.len() == 3 * 7 + 11),
        "{bodies:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_45_an_overflow_keeps_the_attempt_that_has_sent_the_most() {
    let peer = Peer::new(vec![Act::read().wait(1000).answer(); 3]);
    let (messages, queue) = tokio::sync::mpsc::channel(1);
    let queue = stream::wrappers::ReceiverStream::new(queue);
    let channel = peer.channel_with(|builder| builder.max_replay_buffer_size(100));
    let call = tokio::spawn(
        channel
            .client_streaming(&HEDGED_STREAM, queue)
            .into_future(),
    );
    messages.send("small".to_owned()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    messages.send("x".repeat(200)).await.unwrap();
    messages.send("last".to_owned()).await.unwrap();
    drop(messages);
    call.await.unwrap().unwrap();
    let whole: Vec<_> = peer
        .seen()
        .into_iter()
        .filter(|attempt| attempt.body.len() > 200)
        .collect();
    assert_eq!((whole.len(), peer.seen().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn rule_3_the_channels_cap_lowers_max_attempts() {
    static EAGER: Method<String, String> =
        Method::unary("/test.Test/Eager").with_retry_policy(RetryPolicy {
            max_attempts: 50,
            ..POLICY
        });
    let peer = Peer::new(vec![unavailable(); 50]);
    peer.channel().unary(&EAGER, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn rule_50_expiry_resets_the_stream() {
    let peer = Peer::new([Act::stall()]);
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
        let peer = Peer::new([Act::reset_after_reading(reason)]);
        let status = peer.channel().unary(&UNARY, request()).await.unwrap_err();
        assert_eq!(status.code(), code, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_request_stream_holds_at_most_what_the_window_takes() {
    let peer = Peer::new([Act::read().answer()]);
    let messages = stream::iter(0..).map(|_| "x".repeat(1 << 16)).take(64);
    peer.channel()
        .client_streaming(&RETRIED_STREAM, messages)
        .await
        .unwrap();
    assert!(peer.seen()[0].body.len() > 64 << 16);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_connection_can_send_fails_and_is_not_sent_again() {
    let peer = Peer::new([]);
    let request = http::Request::post("http://scripted/test.Test/Unary")
        .header("connection", "close")
        .body(tonic::body::Body::empty())
        .unwrap();
    let status = tower_service::Service::call(&mut peer.channel(), request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(peer.seen().len(), 0);
}
