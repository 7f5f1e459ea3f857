//! Connections that nobody uses, and those that nobody answers on.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_answer_pings_is_given_up() {
    let peer = Peer::new([Act::stall()]);
    let channel = Registry::of(&[&peer])
        .channel(|builder| builder.keepalive(seconds(30)).keepalive_timeout(seconds(5)));
    let stalled = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    peer.until(|seen| seen.len() == 1).await;
    peer.freeze(1);
    let start = Instant::now();
    let status = stalled.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(start.elapsed().as_secs_f64().round(), 35.0);
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_pings_stays() {
    let peer = Peer::new([Act::read().wait(200_000).answer()]);
    let channel = Registry::of(&[&peer])
        .channel(|builder| builder.keepalive(seconds(30)).keepalive_timeout(seconds(5)));
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_is_pinged_only_where_that_is_asked_for() {
    for (without_calls, connections) in [(false, 1), (true, 2)] {
        let peer = Peer::new([]);
        let channel = Registry::of(&[&peer]).channel(|builder| {
            let builder = builder.keepalive(seconds(30)).idle_timeout(None);
            builder.keepalive_without_calls(without_calls)
        });
        call(&channel).await.unwrap();
        peer.freeze(1);
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(peer.connections(), connections, "{without_calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_pinged_too_often_is_pinged_half_as_often() {
    let peer = Peer::new([Act::read().answer(), Act::stall()]);
    let channel = Registry::of(&[&peer])
        .channel(|builder| builder.keepalive(seconds(30)).keepalive_timeout(seconds(5)));
    call(&channel).await.unwrap();
    peer.go_away(1, wireloom_peer::Last::Max, h2::Reason::ENHANCE_YOUR_CALM);
    peer.close(1);
    settle().await;
    let stalled = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    peer.until(|seen| seen.len() == 2).await;
    peer.freeze(2);
    let start = Instant::now();
    stalled.await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs_f64().round(), 65.0);
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_calls_goes_idle_and_wakes_up_again() {
    let peer = Peer::new([]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.idle_timeout(seconds(100)));
    call(&channel).await.unwrap();
    tokio::time::sleep(seconds(90)).await;
    call(&channel).await.unwrap();
    assert_eq!(channel.state(), ConnectivityState::Ready);
    tokio::time::sleep(seconds(95)).await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
    tokio::time::sleep(seconds(35)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_call_that_takes_long_is_not_idle() {
    let peer = Peer::new([Act::read().wait(1_000_000).answer()]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.idle_timeout(seconds(100)));
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 1);
}
