use super::*;

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

/// A peer that answers nothing to the first request, and takes one at a time.
fn one_at_a_time() -> std::sync::Arc<Peer> {
    Peer::scripted(Script {
        requests: vec![Act::stall()],
        max_concurrent_streams: Some(1),
        ..Script::default()
    })
}

#[tokio::test(start_paused = true)]
async fn rule_37_a_call_takes_the_room_of_a_dropped_one_once_that_has_ended_on_the_wire() {
    for kind in KINDS {
        let peer = one_at_a_time();
        let channel = peer.channel_with(|builder| builder.max_connections(1));
        tokio::select! {
            outcome = call(&channel, kind) => panic!("{kind:?}: {outcome:?}"),
            () = peer.until(|seen| seen.len() == 1) => {}
        }
        peer.close(1);
        // The connection closes before it sends the reset: with its room, this call would be lost with it.
        let outcome = call(&channel, MethodKind::Unary).await;
        assert_eq!(outcome.messages, ["answer"], "{kind:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_get_room_in_the_order_in_which_they_came() {
    let peer = one_at_a_time();
    let channel = peer.channel_with(|builder| builder.max_connections(1));
    let called = |message: &str| channel.unary(&UNARY, message.to_owned()).into_future();
    let mut first = called("first");
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        () = peer.until(|seen| seen.len() == 1) => {}
    }
    let second = tokio::spawn(called("second"));
    settle().await;
    drop(first);
    called("third").await.unwrap();
    second.await.unwrap().unwrap();
    let seen = peer.seen();
    let came: Vec<_> = seen.iter().map(|seen| seen.messages()).collect();
    let order = ["first", "second", "third"].map(wireloom_peer::text);
    assert_eq!(came, order.each_ref().map(|message| vec![&message[..]]));
}

#[tokio::test(start_paused = true)]
async fn rule_37_a_call_that_waited_for_room_on_a_connection_that_closed_is_sent_on_another() {
    for kind in KINDS {
        let peer = one_at_a_time();
        let channel = peer.channel_with(|builder| builder.max_connections(1));
        let first = tokio::spawn(channel.unary(&UNARY, request()).into_future());
        peer.until(|seen| seen.len() == 1).await;
        let waiting = channel.clone();
        let waiting = tokio::spawn(async move { call(&waiting, kind).await });
        settle().await;
        assert_eq!(peer.seen().len(), 1, "{kind:?}");
        peer.close(1);
        let outcome = waiting.await.unwrap();
        assert_eq!(outcome.messages, ["answer"], "{kind:?}: {outcome:?}");
        assert_eq!(peer.seen()[1].messages(), sent(kind), "{kind:?}");
        assert_eq!(previous_attempts(&peer), [None, None], "{kind:?}");
        let first = first.await.unwrap().unwrap_err();
        assert_eq!(first.code(), Code::Unavailable, "{kind:?}: it had left");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_38_a_refused_stream_is_sent_again_once_and_at_once() {
    for kind in KINDS {
        let peer = Peer::new([Act::refuse_stream()]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.messages, ["answer"], "{kind:?}: {outcome:?}");
        assert!(times(&peer)[1] <= 1, "{kind:?}");
        assert_eq!(peer.seen()[1].messages(), sent(kind), "{kind:?}");

        let peer = Peer::new(vec![Act::refuse_stream(); 2]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}: {outcome:?}");
        assert_eq!(peer.seen().len(), 2, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_39_a_transparent_retry_does_not_count_toward_max_attempts() {
    for refusal in [Act::refuse_stream(), Act::default().go_away(Last::Below)] {
        for kind in KINDS {
            let mut script = vec![refusal.clone()];
            script.extend(vec![unavailable(); 3]);
            let peer = Peer::new(script);
            let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
            assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}");
            assert_eq!(peer.seen().len(), 4, "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_39_a_transparent_retry_costs_no_tokens() {
    for refusal in [Act::refuse_stream(), Act::default().go_away(Last::Below)] {
        let peer = Peer::new([refusal, unavailable()]);
        let json = format!(
            r#"{{
                "methodConfig": [{{"name": [{{}}], {RETRY}}}],
                "retryThrottling": {{"maxTokens": 3, "tokenRatio": 0.1}}
            }}"#
        );
        let config = ServiceConfig::from_json(&json).unwrap();
        let channel = peer.channel_with(|builder| builder.service_config(config));
        // Three tokens, two after the one failure: above half, so there is a retry.
        let outcome = call(&channel, MethodKind::Unary).await;
        assert_eq!(outcome.code(), Code::Ok, "{outcome:?}");
        assert_eq!(peer.seen().len(), 3);
    }
}
