use super::*;

/// Says that this call's stream, and those after it, were not looked at.
fn leaves_out() -> Act {
    Act::default().go_away(Last::Below)
}

#[tokio::test(start_paused = true)]
async fn rule_38_a_last_id_below_the_call_s_gives_one_transparent_retry() {
    for kind in KINDS {
        let peer = Peer::new([leaves_out()]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.messages, ["answer"], "{kind:?}: {outcome:?}");
        assert_eq!(connections(&peer), [1, 2], "{kind:?}");
        assert_eq!(previous_attempts(&peer), [None, None], "{kind:?}");
        assert_eq!(peer.seen()[1].messages(), sent(kind), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_a_second_last_id_below_the_call_s_is_for_the_policy() {
    for kind in KINDS {
        let peer = Peer::new([leaves_out(), leaves_out()]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}: {outcome:?}");
        assert_eq!(peer.seen().len(), 2, "{kind:?}");

        let peer = Peer::new([leaves_out(), leaves_out()]);
        let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
        assert_eq!(outcome.code(), Code::Ok, "{kind:?}: {outcome:?}");
        let second = Some("1".to_owned());
        assert_eq!(previous_attempts(&peer), [None, None, second], "{kind:?}");
        assert!(times(&peer)[1] < 800 && times(&peer)[2] >= 800, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_after_a_first_attempt_a_refusal_is_for_the_policy() {
    for refusal in [leaves_out(), Act::refuse_stream()] {
        let peer = Peer::new([unavailable(), refusal]);
        call(&peer.channel_with(saying(RETRY)), MethodKind::Unary).await;
        let counts = [None, Some("1".to_owned()), Some("2".to_owned())];
        assert_eq!(previous_attempts(&peer), counts);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_a_last_id_at_or_above_the_call_s_lets_it_go_on() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        for last in [Last::This, Last::Id(99), Last::Max] {
            for kind in KINDS {
                let going_away = Act::read().step(Step::GoAway(last, reason));
                let peer = Peer::new([going_away.wait(100).answer()]);
                let outcome = call(&peer.channel(), kind).await;
                let case = format!("{reason:?}, {last:?}, {kind:?}");
                assert_eq!(outcome.messages, ["answer"], "{case}: {outcome:?}");
                assert_eq!(peer.seen().len(), 1, "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_an_error_in_the_goaway_does_not_make_the_call_less_retriable() {
    for reason in [Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR] {
        let peer = Peer::new([Act::default()
            .step(Step::GoAway(Last::Zero, reason))
            .close()]);
        let outcome = call(&peer.channel(), MethodKind::Unary).await;
        assert_eq!(outcome.code(), Code::Ok, "{reason:?}: {outcome:?}");
        assert_eq!(peer.seen().len(), 2, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_a_call_that_the_goaway_let_go_on_is_for_the_policy_when_the_connection_closes() {
    let script = || [Act::read().go_away(Last::This).wait(50).close()];
    for kind in KINDS {
        let peer = Peer::new(script());
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}: {outcome:?}");
        assert_eq!(peer.seen().len(), 1, "{kind:?}");

        let peer = Peer::new(script());
        let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
        assert_eq!(outcome.code(), Code::Ok, "{kind:?}: {outcome:?}");
        let second = Some("1".to_owned());
        assert_eq!(previous_attempts(&peer), [None, second], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_40_the_maximum_id_leaves_running_streams_and_new_calls_go_elsewhere() {
    let long = Act::read()
        .headers()
        .message("before")
        .go_away(Last::Max)
        .wait(1000)
        .message("after")
        .trailers(0);
    let peer = Peer::new([long]);
    let channel = peer.channel();
    let running = channel.server_streaming(&SERVER_STREAM, request()).await;
    settle().await;
    let new = call(&channel, MethodKind::Unary).await;
    assert_eq!(new.code(), Code::Ok, "{new:?}");
    assert_eq!(connections(&peer), [1, 2]);
    let running = Outcome::of_stream(running).await;
    assert_eq!(running.messages, ["before", "after"]);
    assert_eq!(running.code(), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn rule_40_an_idle_connection_that_goes_away_is_replaced_before_it_costs_a_call_anything() {
    let peer = Peer::new([]);
    let channel = peer.channel();
    call(&channel, MethodKind::Unary).await;
    peer.go_away(1, Last::Max, Reason::NO_ERROR);
    settle().await;
    call(&channel, MethodKind::Unary).await;
    peer.close(2);
    settle().await;
    call(&channel, MethodKind::Unary).await;
    assert_eq!(connections(&peer), [1, 2, 3]);
}
