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
async fn rule_49_a_stall_at_any_moment_ends_with_the_deadline_and_resets_the_stream() {
    let stalls = [
        Act::stall(),
        Act::read(),
        Act::read().headers(),
        Act::read().headers().message("a"),
        Act::read().headers().message("a").message("b"),
    ];
    for stall in stalls {
        for kind in KINDS {
            let peer = Peer::new([stall.clone()]);
            let start = Instant::now();
            let outcome = call(&peer.channel_with(saying(ONE_SECOND)), kind).await;
            let case = format!("{kind:?}, {stall:?}");
            if outcome.code() == Code::Internal {
                // A second message where there may be one only is seen before.
                assert!(outcome.messages.is_empty(), "{case}");
                continue;
            }
            assert_eq!(
                outcome.code(),
                Code::DeadlineExceeded,
                "{case}: {outcome:?}"
            );
            assert_eq!(start.elapsed().as_millis(), 1000, "{case}");
            settle().await;
            assert_eq!(peer.seen()[0].reset, Some(Reason::CANCEL), "{case}");
        }
    }
}
