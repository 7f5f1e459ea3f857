//! What ejections and refusals come to, for those that are left and for those that come back.

use h2::Reason;
use wireloom_peer::Last;

use super::*;
use crate::{
    ServiceConfig,
    policy::{CircuitBreaker, FailurePercentageEjection, OutlierDetection, RingHash},
};

/// Peers whose places on a ring are the same in each run.
struct Ring(Vec<Arc<Peer>>);

impl Resolver for Ring {
    async fn run(&self, updates: ResolverUpdates) {
        let named = self.0.iter().zip(["a", "b", "c", "d", "e"]);
        let address = |(peer, name): (&Arc<Peer>, &str)| {
            let transport = Transport::InProcess(InProcess::new("scripted", Arc::clone(peer) as _));
            Address::of(transport).with_hash_key(name)
        };
        updates.send(Ok(Resolution::new(named.map(address))));
    }
}

fn detection() -> OutlierDetection {
    OutlierDetection {
        max_ejection_percent: 100,
        failure_percentage_ejection: Some(FailurePercentageEjection {
            threshold: 50,
            minimum_hosts: 1,
            request_volume: 5,
            ..FailurePercentageEjection::default()
        }),
        ..OutlierDetection::default()
    }
}

fn ring(peers: &[Arc<Peer>]) -> Channel {
    Channel::builder("test:///ring")
        .resolver(Ring(peers.to_vec()))
        .load_balancing(LoadBalancing::RingHash(RingHash::by_header("key")))
        .outlier_detection(detection())
        .lazy()
        .unwrap()
}

async fn call_with(channel: &Channel, key: &str) -> Result<(), Status> {
    let mut request = tonic::Request::new(String::new());
    request.metadata_mut().insert("key", key.parse().unwrap());
    channel.unary(&UNARY, request).await.map(drop)
}

/// A key whose calls go to the peer of that index.
async fn key_of(index: usize) -> String {
    let peers = peers::<3>();
    let channel = ring(&peers);
    for key in 0.. {
        let key = key.to_string();
        let before = counts(&peers);
        call_with(&channel, &key).await.unwrap();
        if counts(&peers)[index] > before[index] {
            return key;
        }
    }
    unreachable!()
}

fn failing(calls: usize, code: Code) -> Arc<Peer> {
    Peer::new(vec![Act::fail(code); calls])
}

fn connections(peers: &[Arc<Peer>; 3]) -> [usize; 3] {
    peers.each_ref().map(|peer| peer.connections())
}

/// A ring whose first peer has just been ejected.
async fn ejected_ring() -> ([Arc<Peer>; 3], Channel) {
    let key = key_of(0).await;
    let peers = [failing(6, Code::Internal), Peer::new([]), Peer::new([])];
    let channel = ring(&peers);
    for _ in 0..6 {
        call_with(&channel, &key).await.unwrap_err();
    }
    tokio::time::sleep(seconds(11)).await;
    (peers, channel)
}

#[tokio::test(start_paused = true)]
async fn an_ejection_has_the_ring_connect_the_next() {
    let (peers, _channel) = ejected_ring().await;
    settle().await;
    assert_eq!(connections(&peers).iter().sum::<usize>(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_ejection_begins_is_not_begun_with_an_old_deadline() {
    let [b, c] = [key_of(1).await, key_of(2).await];
    let (peers, channel) = ejected_ring().await;
    tokio::time::sleep(seconds(25)).await;
    call_with(&channel, &c).await.unwrap();
    settle().await;
    call_with(&channel, &b).await.unwrap();
    assert_eq!(counts(&peers)[1], 1);
}

fn quick() -> OutlierDetection {
    OutlierDetection {
        interval: Duration::from_millis(100),
        base_ejection_time: Duration::from_millis(300),
        ..detection()
    }
}

#[test]
fn what_is_ejected_comes_back_after_the_end_of_a_runtime() {
    let peer = failing(6, Code::Internal);
    let channel =
        Registry::of(&[&peer]).channel(|builder| round_robin(builder).outlier_detection(quick()));
    let first = tokio::runtime::Runtime::new().unwrap();
    first.block_on(async {
        for _ in 0..6 {
            call(&channel).await.unwrap_err();
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    });
    drop(first);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _ = call(&channel).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        call(&channel).await.unwrap();
    });
}

#[test]
fn a_config_set_outside_a_runtime_keeps_the_detection() {
    let peer = failing(20, Code::Internal);
    let channel =
        Registry::of(&[&peer]).channel(|builder| round_robin(builder).outlier_detection(quick()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _ = runtime.block_on(call(&channel));
    let config = ServiceConfig::from_json(
        r#"{"loadBalancingConfig": [{"outlier_detection_experimental": {
            "interval": "0.1s", "maxEjectionPercent": 100,
            "failurePercentageEjection": {"minimumHosts": 1, "requestVolume": 5},
            "childPolicy": [{"round_robin": {}}]}}]}"#,
    )
    .unwrap();
    channel.set_service_config(config);
    runtime.block_on(async {
        for _ in 0..8 {
            call(&channel).await.unwrap_err();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    });
}

#[tokio::test(start_paused = true)]
async fn a_method_slower_than_open_for_gets_its_circuit_closed() {
    let mut acts = vec![Act::fail(Code::Unavailable); 3];
    acts.extend(vec![Act::read().wait(6000).answer(); 200]);
    let peer = Peer::new(acts);
    let channel = Registry::of(&[&peer]).channel(|builder| {
        round_robin(builder).circuit_breaker(CircuitBreaker {
            consecutive_failures: Some(3),
            ..CircuitBreaker::default()
        })
    });
    for _ in 0..3 {
        call(&channel).await.unwrap_err();
    }
    let mut calls = Vec::new();
    for _ in 0..60 {
        calls.push(tokio::spawn(
            channel.unary(&UNARY, String::new()).into_future(),
        ));
        tokio::time::sleep(seconds(1)).await;
    }
    let mut ok = 0;
    for call in calls {
        ok += usize::from(call.await.unwrap().is_ok());
    }
    assert!(ok > 40, "{ok} of 60");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_restart_opens_no_circuit() {
    let peer = Peer::new(vec![Act::stall(); 5]);
    let channel = Registry::of(&[&peer]).channel(|builder| {
        round_robin(builder).circuit_breaker(CircuitBreaker {
            consecutive_failures: Some(3),
            ..CircuitBreaker::default()
        })
    });
    let calls: Vec<_> = (0..5)
        .map(|_| tokio::spawn(channel.unary(&UNARY, String::new()).into_future()))
        .collect();
    settle().await;
    peer.go_away(1, Last::Zero, Reason::NO_ERROR);
    let mut failed = Vec::new();
    for call in calls {
        failed.extend(call.await.unwrap().err().map(|s| s.to_string()));
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_waits_for_an_address_that_is_connecting() {
    let bad = failing(3, Code::Unavailable);
    let other = connecting([Connect::Stall, Connect::Accept]);
    let channel = Registry::of(&[&bad, &other]).channel(|builder| {
        round_robin(builder).circuit_breaker(CircuitBreaker {
            consecutive_failures: Some(3),
            ..CircuitBreaker::default()
        })
    });
    for _ in 0..3 {
        call(&channel).await.unwrap_err();
    }
    call(&channel).await.unwrap();
}

/// Finds its peer after half a minute.
struct Late(Arc<Peer>);

impl Resolver for Late {
    async fn run(&self, updates: ResolverUpdates) {
        tokio::time::sleep(seconds(15)).await;
        updates.send(Err(Status::unavailable("not yet")));
        tokio::time::sleep(seconds(15)).await;
        updates.send(Ok(Resolution::new([scripted(Arc::clone(&self.0))])));
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_that_are_found_late_have_a_budget_of_their_own() {
    let [peer] = peers();
    let channel = Channel::builder("test:///x")
        .resolver(Late(peer))
        .lazy()
        .unwrap();
    let begun = Instant::now();
    let waiting = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    waiting.await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(30_100),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_address_that_was_ejected_as_its_runtime_ended_gets_calls_again() {
    let (bad, good) = (failing(8, Code::Internal), Peer::new([]));
    let channel = Registry::of(&[&bad, &good])
        .channel(|builder| round_robin(builder).outlier_detection(quick()));
    let first = tokio::runtime::Runtime::new().unwrap();
    first.block_on(async {
        while bad.seen().len() < 8 {
            let _ = call(&channel).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        for _ in 0..4 {
            call(&channel).await.unwrap();
        }
    });
    drop(first);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        call(&channel).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        for _ in 0..10 {
            call(&channel).await.unwrap();
        }
    });
    assert!(bad.seen().len() > 8);
}
