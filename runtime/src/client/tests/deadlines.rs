use super::*;

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
async fn rule_50_expiry_resets_the_stream_of_a_call_that_nobody_reads() {
    let stalling = Act::read().headers().message("one");
    let peer = Peer::new([stalling.clone(), stalling]);
    let channel = peer.channel();
    let timeout = Duration::from_secs(1);
    let call = channel.server_streaming(&SERVER_STREAM, request());
    let mut answers = call.timeout(timeout).await.unwrap().into_inner();
    let requests = stream::pending::<String>();
    let call = channel.bidi_streaming(&BIDI, requests).timeout(timeout);
    let _exchange = call.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1005)).await;
    let resets: Vec<_> = peer.seen().iter().map(|seen| seen.reset).collect();
    assert_eq!(resets, [Some(Reason::CANCEL); 2]);
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
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
async fn rule_49_a_stall_at_any_moment_ends_at_the_deadline_and_resets_the_stream() {
    let stalls = [
        ("before headers", Act::read()),
        ("before the first message", Act::read().headers()),
        (
            "inside a message",
            Act::read()
                .headers()
                .step(Step::Data(vec![0, 0, 0, 0, 9, 1])),
        ),
        ("before trailers", Act::read().headers().message("answer")),
    ];
    for (moment, stall) in stalls {
        for kind in KINDS {
            let case = format!("{moment}, {kind:?}");
            let peer = Peer::new([stall.clone()]);
            let start = Instant::now();
            let outcome = call(&peer.channel_with(saying(ONE_SECOND)), kind).await;
            assert_eq!(
                outcome.code(),
                Code::DeadlineExceeded,
                "{case}: {outcome:?}"
            );
            assert!(
                (1000..=1002).contains(&start.elapsed().as_millis()),
                "{case}"
            );
            settle().await;
            assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_49_a_peer_that_takes_no_more_messages_does_not_outlast_the_deadline() {
    let peer = Peer::new([Act::stall().step(Step::HoldWindow)]);
    let endless = stream::iter(0..).map(|_| "x".repeat(1 << 16));
    let call = peer
        .channel()
        .client_streaming(&CLIENT_STREAM, endless)
        .timeout(Duration::from_secs(1));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    settle().await;
    assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn rule_47_a_deadline_already_past_fails_locally_and_nothing_is_sent() {
    let past = Deadline::after(Duration::ZERO);
    tokio::time::advance(Duration::from_millis(1)).await;
    let peer = Peer::new([]);
    let channel = peer.channel();
    let words = || stream::iter([request()]);
    let unary = channel.unary(&UNARY, request()).deadline(past);
    let server = channel.server_streaming(&SERVER_STREAM, request());
    let client = channel.client_streaming(&CLIENT_STREAM, words());
    let bidi = channel.bidi_streaming(&BIDI, words());
    let outcomes = [
        Outcome::of_one(unary.await),
        Outcome::of_one(client.deadline(past).await),
        Outcome::of_stream(server.deadline(past).await).await,
        Outcome::of_stream(bidi.deadline(past).await).await,
    ];
    for outcome in outcomes {
        assert_eq!(outcome.code(), Code::DeadlineExceeded, "{outcome:?}");
    }
    assert_eq!((peer.connections(), peer.seen().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_s_timeout_replaces_the_method_s_and_the_channel_s_own() {
    static BOUNDED: Method<String, String> =
        Method::unary("/test.Test/Bounded").with_timeout(Duration::from_secs(2));
    let peer = Peer::new([]);
    let options = CallOptions::new().timeout(Duration::from_secs(3));
    let channels = [
        peer.channel(),
        peer.channel_with(|builder| builder.call_options(options)),
    ];
    for channel in channels {
        let mut request = Request::new(request());
        request.set_timeout(Duration::from_secs(10));
        channel.unary(&BOUNDED, request).await.unwrap();
        let mut request = Request::new("with less set on the call".to_owned());
        request.set_timeout(Duration::from_secs(10));
        let call = channel.unary(&BOUNDED, request);
        call.timeout(Duration::from_secs(5)).await.unwrap();
    }
    let seen = peer.seen();
    let sent: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("grpc-timeout"))
        .collect();
    let (stated, set) = (Some("10000000u"), Some("5000000u"));
    assert_eq!(sent, [stated, set, stated, set]);
}
