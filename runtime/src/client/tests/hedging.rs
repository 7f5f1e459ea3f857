use super::*;

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

/// Answers with two messages of this name, `after` milliseconds from now, then 300 apart.
fn two_parts(name: &str, after: u64) -> Act {
    Act::default()
        .wait(after)
        .headers()
        .message(name)
        .wait(300)
        .message(name)
        .trailers(0)
}

#[tokio::test(start_paused = true)]
async fn rule_42_a_caller_of_a_hedged_stream_never_sees_parts_of_two_attempts() {
    for kind in [MethodKind::ServerStreaming, MethodKind::BidiStreaming] {
        // The second attempt, 100 ms after the first, has headers before it.
        let peer = Peer::new([two_parts("first", 150), two_parts("second", 20)]);
        let outcome = call(&peer.channel_with(saying(HEDGE)), kind).await;
        assert_eq!(
            outcome.messages,
            ["second", "second"],
            "{kind:?}: {outcome:?}"
        );
        assert_eq!(outcome.code(), Code::Ok, "{kind:?}");
        settle().await;
        assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_42_a_hedged_stream_that_fails_after_its_headers_is_not_taken_over() {
    for kind in [MethodKind::ServerStreaming, MethodKind::BidiStreaming] {
        let cut = Act::read_messages(1)
            .wait(50)
            .headers()
            .message("first")
            .wait(200);
        let peer = Peer::new([cut.trailers(Code::Unavailable)]);
        let outcome = call(&peer.channel_with(saying(HEDGE)), kind).await;
        assert_eq!(outcome.messages, ["first"], "{kind:?}: {outcome:?}");
        assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}");
        assert_eq!(peer.seen().len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_41_every_attempt_of_a_hedged_call_gets_the_whole_request() {
    for kind in KINDS {
        let peer = Peer::new([Act::stall(), Act::stall(), Act::read().answer()]);
        let outcome = call(&peer.channel_with(saying(HEDGE)), kind).await;
        assert_eq!(outcome.messages, ["answer"], "{kind:?}: {outcome:?}");
        let seen = peer.seen();
        assert_eq!(seen.len(), 3, "{kind:?}");
        assert!(
            seen.iter().all(|seen| seen.messages() == sent(kind)),
            "{kind:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn rule_35_a_hedge_that_waits_for_its_turn_fails_when_the_throttle_closes() {
    let peer = Peer::new([
        Act::push_back(Code::Unavailable, "1000"),
        unavailable(),
        unavailable(),
    ]);
    let json = format!(
        r#"{{
            "methodConfig": [{{"name": [{{"service": "test.Test", "method": "Unary"}}], {HEDGE}}},
                             {{"name": [{{}}], {RETRY}}}],
            "retryThrottling": {{"maxTokens": 4, "tokenRatio": 0.1}}
        }}"#
    );
    let config = ServiceConfig::from_json(&json).unwrap();
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let hedged = tokio::spawn(channel.unary(&UNARY, request()).into_future());
    settle().await;
    // One of four tokens is gone, so a hedge may come; another call takes the next, and half are left.
    call(&channel, MethodKind::ClientStreaming).await;
    let status = hedged.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 2);
}
