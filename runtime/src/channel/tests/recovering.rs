//! What becomes of connections that are lost, refused, or sent away; of resolvers that say odd things; of odd options.

use super::*;
use crate::service_config::ServiceConfig;

/// The task sleeps through the backoff of an extra connection while the only one is lost.
#[tokio::test(start_paused = true)]
async fn the_only_connection_is_made_again_at_once_while_another_waits_for_its_backoff() {
    let mut connections = vec![Connect::Accept];
    connections.extend([Connect::Refuse; 8]);
    let peer = connecting(connections);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.connections(2));
    call(&channel).await.unwrap();
    // 1 + 1.6 + 2.6 + 4.1 + 6.6 + 10.5 + 16.8 s: the next attempt is some 27 s later.
    tokio::time::sleep(seconds(50)).await;
    peer.close(1);
    settle().await;
    let start = Instant::now();
    call(&channel).await.unwrap();
    assert!(start.elapsed() < seconds(2), "{:?}", start.elapsed());
}

/// A connection that was there for an hour resets the backoff.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_up_for_long_resets_the_backoff() {
    let mut connections = vec![Connect::Refuse; 9];
    connections.push(Connect::Accept);
    connections.push(Connect::Refuse);
    let peer = connecting(connections);
    let channel = Registry::of(&[&peer]).channel(|builder| round_robin(builder).idle_timeout(None));
    call(&channel).await.unwrap_err();
    let mut state = channel.watch_state();
    state.until(ConnectivityState::Ready).await;
    tokio::time::sleep(seconds(3600)).await;
    peer.close(1);
    state.until(ConnectivityState::TransientFailure).await;
    let start = Instant::now();
    state.until(ConnectivityState::Ready).await;
    assert!(start.elapsed() < seconds(2), "{:?}", start.elapsed());
}

/// Says addresses in another order, whenever 5 seconds are over.
struct Rotating(Vec<Arc<Peer>>, bool);

impl Resolver for Rotating {
    async fn run(&self, updates: ResolverUpdates) {
        let mut peers = self.0.clone();
        loop {
            updates.send(Ok(Resolution::new(peers.clone().into_iter().map(scripted))));
            updates.wanted().await;
            tokio::time::sleep(seconds(5)).await;
            if self.1 {
                peers.rotate_left(1);
            }
        }
    }
}

async fn time_until_ready(rotate: bool, refusals: usize) -> Duration {
    let peers = [(); 2].map(|()| connecting(vec![Connect::Refuse; refusals]));
    let channel = Channel::builder("test:///peers")
        .resolver(Rotating(peers.to_vec(), rotate))
        .idle_timeout(None)
        .lazy()
        .unwrap();
    call(&channel).await.unwrap_err();
    let start = Instant::now();
    channel.watch_state().until(ConnectivityState::Ready).await;
    start.elapsed()
}

/// 8: DNS that rotates its answers does not lift the backoff.
#[tokio::test(start_paused = true)]
async fn addresses_in_another_order_do_not_reset_the_backoff() {
    let still = time_until_ready(false, 12).await;
    let rotating = time_until_ready(true, 12).await;
    assert!(
        rotating > still / 2,
        "in order {still:?}, rotating {rotating:?}"
    );
}

/// A server that drains is not held up by the watch of its health.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_whose_server_goes_away_is_given_up() {
    let says = |act: Act| act.step(wireloom_peer::Step::Data(vec![0, 0, 0, 0, 2, 8, 1]));
    let peer = Peer::new([
        says(Act::read().headers()),
        Act::read().answer(),
        says(Act::read().headers()),
    ]);
    let channel =
        Registry::of(&[&peer]).channel(|builder| round_robin(builder).health_check("greeter"));
    call(&channel).await.unwrap();
    peer.go_away(1, wireloom_peer::Last::Max, h2::Reason::NO_ERROR);
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(peer.connections(), 2, "redialled");
    assert!(peer.seen()[0].reset.is_some(), "{:?}", peer.seen()[0]);
}

/// The same without health, with a call that is under way.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_server_goes_away_is_made_again_at_once() {
    let peer = Peer::new([Act::read().wait(5000).answer()]);
    let channel = Registry::of(&[&peer]).channel(round_robin);
    let running = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    peer.until(|seen| seen.len() == 1).await;
    peer.go_away(1, wireloom_peer::Last::Max, h2::Reason::NO_ERROR);
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(peer.connections(), 2, "redialled");
    running.await.unwrap().unwrap();
}

/// A round_robin that comes with the addresses reconnects by itself.
struct Configured(Arc<Peer>);

impl Resolver for Configured {
    async fn run(&self, updates: ResolverUpdates) {
        let address = scripted(Arc::clone(&self.0));
        let mut found = Resolution::new([address]);
        found.service_config = Some(ServiceConfig::from_json(
            r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#,
        ));
        updates.send(Ok(found));
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_comes_with_the_addresses_holds_for_a_single_one() {
    let peer = Peer::new([]);
    let channel = Channel::builder("test:///peers")
        .resolver(Configured(Arc::clone(&peer)))
        .idle_timeout(None)
        .lazy()
        .unwrap();
    call(&channel).await.unwrap();
    for connection in 1..=2 {
        tokio::time::sleep(seconds(60)).await;
        peer.close(connection);
    }
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
}

/// 11: "no limit" as a duration.
#[tokio::test(start_paused = true)]
async fn the_longest_connect_timeout_is_taken() {
    let peer = Peer::new([]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.connect_timeout(Duration::MAX));
    let called = tokio::time::timeout(seconds(60), call(&channel)).await;
    called.expect("it does not hang").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_longest_keepalive_timeout_is_taken() {
    let peer = Peer::new([Act::read().wait(60_000).answer()]);
    let channel = Registry::of(&[&peer]).channel(|builder| {
        builder
            .keepalive(seconds(20))
            .keepalive_timeout(Duration::MAX)
    });
    call(&channel).await.unwrap();
}

/// A resolver that ends without a word.
struct Panics;

impl Resolver for Panics {
    async fn run(&self, _: ResolverUpdates) {
        panic!("oh");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_fails_calls() {
    let channel = Channel::builder("test:///x")
        .resolver(Panics)
        .lazy()
        .unwrap();
    let called = tokio::time::timeout(seconds(3600), call(&channel)).await;
    called.expect("it does not hang").unwrap_err();
}

#[cfg(feature = "tls")]
#[test]
fn the_case_of_a_scheme_does_not_turn_tls_off() {
    let secure = |target: &str| {
        let channel = Channel::builder(target).resolver(Panics).lazy();
        channel.map(|channel| {
            channel
                .uri(&"/x".parse().unwrap())
                .scheme_str()
                .map(str::to_owned)
        })
    };
    let lower = secure("https://greeter.example.com:443").unwrap();
    let upper = secure("HTTPS://greeter.example.com:443");
    assert!(
        upper.is_err() || upper.as_ref().unwrap() == &lower,
        "{upper:?}"
    );
}

/// An address that comes just before the first budget ends has a budget of its own.
#[tokio::test(start_paused = true)]
async fn an_address_that_comes_late_has_a_whole_budget() {
    let [peer] = peers::<1>();
    let registry = Registry::of(&[&peer]);
    let channel = registry.channel(round_robin);
    call(&channel).await.unwrap();
    tokio::time::sleep(Duration::from_millis(19_900)).await;
    registry.set(&[&connecting([Connect::Stall; 5])]);
    settle().await;
    let start = Instant::now();
    call(&channel).await.unwrap_err();
    assert!(start.elapsed() > seconds(15), "{:?}", start.elapsed());
}

/// A server that is full is not unwell.
#[tokio::test(start_paused = true)]
async fn a_watch_that_finds_no_stream_free_does_not_make_a_server_unwell() {
    let watch = Act::read()
        .headers()
        .step(wireloom_peer::Step::Data(vec![0, 0, 0, 0, 2, 8, 1]));
    let mut requests = vec![watch.wait(2500).trailers(0)];
    requests.extend(vec![Act::read().wait(1000).answer(); 1000]);
    let peer = Peer::scripted(Script {
        requests,
        max_concurrent_streams: Some(1),
        ..Script::default()
    });
    let channel = Registry::of(&[&peer]).channel(|builder| {
        round_robin(builder)
            .health_check("greeter")
            .max_connections(2)
    });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let channel = channel.clone();
        calls.spawn(async move {
            tokio::time::timeout(seconds(4), async {
                loop {
                    if let Err(status) = call(&channel).await {
                        return status;
                    }
                }
            })
            .await
        });
    }
    while let Some(ended) = calls.join_next().await {
        if let Ok(status) = ended.unwrap() {
            panic!("{status}");
        }
    }
}

/// As many connections as are asked for, however few the calls.
#[tokio::test(start_paused = true)]
async fn there_are_as_many_connections_as_asked_for_though_calls_are_few() {
    let peer = Peer::new([]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder.connections(4));
    for _ in 0..20 {
        call(&channel).await.unwrap();
        settle().await;
    }
    assert_eq!(peer.connections(), 4);
}

/// The same after a restart.
#[tokio::test(start_paused = true)]
async fn all_connections_are_made_again_after_a_restart() {
    let peer = Peer::scripted(Script {
        requests: vec![Act::read().wait(100).answer(); 8],
        ..Script::default()
    });
    let channel = Registry::of(&[&peer]).channel(|builder| round_robin(builder).connections(4));
    let calls: Vec<_> = (0..8)
        .map(|_| tokio::spawn(channel.unary(&UNARY, String::new()).into_future()))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(peer.connections(), 4);
    for connection in 1..=4 {
        peer.close(connection);
    }
    for _ in 0..20 {
        settle().await;
        call(&channel).await.unwrap();
    }
    assert_eq!(peer.connections(), 8);
}
