use super::*;

/// A peer that takes so many streams at a time on each connection, and a second for each call.
fn limited(streams: u32) -> Arc<Peer> {
    Peer::scripted(Script {
        requests: vec![Act::read().wait(1000).answer(); 100],
        max_concurrent_streams: Some(streams),
        ..Script::default()
    })
}

/// Makes `count` calls at once; gives how long they took together.
async fn calls_at_once(channel: &Channel, count: usize) -> Duration {
    let start = Instant::now();
    let calls: Vec<_> = (0..count)
        .map(|_| tokio::spawn(channel.unary(&UNARY, String::new()).into_future()))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_full_connection_has_another_made_beside_it() {
    let peer = limited(2);
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    let took = calls_at_once(&channel, 6).await;
    assert_eq!(took, Duration::from_secs(1));
    assert_eq!(peer.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn at_the_limits_of_streams_and_connections_calls_take_turns() {
    let peer = limited(1);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.max_connections(2));
    let took = calls_at_once(&channel, 10).await;
    assert_eq!(took, Duration::from_secs(5));
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_are_spread_over_the_connections_that_are_asked_for() {
    let peer = limited(100);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.connections(3));
    calls_at_once(&channel, 3).await;
    assert_eq!(peer.connections(), 3);
    calls_at_once(&channel, 30).await;
    let seen = peer.seen();
    let on = |connection| {
        seen[3..]
            .iter()
            .filter(|seen| seen.connection == connection)
            .count()
    };
    assert_eq!([on(1), on(2), on(3)], [10; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_not_held_up_by_a_connection_that_is_lost() {
    let peer = limited(1);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.max_connections(1));
    let first = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    peer.until(|seen| seen.len() == 1).await;
    let waiting = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    settle().await;
    peer.go_away(1, wireloom_peer::Last::Max, h2::Reason::NO_ERROR);
    let start = Instant::now();
    waiting.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    first.await.unwrap().unwrap();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_channel_closes_its_connections_once_their_calls_have_ended() {
    let peer = limited(9);
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    let running = channel.server_streaming(&STREAM, String::new());
    let mut running = running.await.unwrap().into_inner();
    drop(channel);
    assert_eq!(running.message().await.unwrap().as_deref(), Some("answer"));
    assert_eq!(running.message().await.unwrap(), None);
}

static STREAM: Method<String, String> = Method::server_streaming("/test.Test/Stream");
