//! Calls with a key, over several peers.

use super::*;
use crate::policy::RingHash;

/// Peers that are on the ring by names of their own: those of tests have no addresses that could tell them apart.
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

fn channel(peers: &[Arc<Peer>]) -> Channel {
    let builder = Channel::builder("test:///ring").resolver(Ring(peers.to_vec()));
    let policy = LoadBalancing::RingHash(RingHash::by_header("key"));
    builder.load_balancing(policy).lazy().unwrap()
}

async fn call_with(channel: &Channel, key: &str) -> Result<(), Status> {
    let mut request = tonic::Request::new(String::new());
    request.metadata_mut().insert("key", key.parse().unwrap());
    channel.unary(&UNARY, request).await.map(drop)
}

/// The peer that gets the calls with this key.
async fn owner<const N: usize>(channel: &Channel, peers: &[Arc<Peer>; N], key: &str) -> usize {
    let before = counts(peers);
    call_with(channel, key).await.unwrap();
    let after = counts(peers);
    (0..N).find(|&i| after[i] > before[i]).unwrap()
}

/// A key of the peer with this index, among so many.
async fn key_of<const N: usize>(index: usize) -> String {
    let peers = peers::<N>();
    let channel = channel(&peers);
    for key in 0.. {
        let key = key.to_string();
        if owner(&channel, &peers, &key).await == index {
            return key;
        }
    }
    unreachable!("there are more keys than peers")
}

fn connections<const N: usize>(peers: &[Arc<Peer>; N]) -> [usize; N] {
    peers.each_ref().map(|peer| peer.connections())
}

#[tokio::test(start_paused = true)]
async fn calls_with_the_same_key_go_to_the_same_peer() {
    let peers = peers::<3>();
    let channel = channel(&peers);
    let mut owners = Vec::new();
    for key in 0..60 {
        let key = key.to_string();
        let first = owner(&channel, &peers, &key).await;
        assert_eq!(owner(&channel, &peers, &key).await, first, "{key}");
        owners.push(first);
    }
    for peer in 0..3 {
        let keys = owners.iter().filter(|&&owner| owner == peer).count();
        assert!((10..=30).contains(&keys), "{peer}: {keys}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_channel_has_the_same_ring() {
    let key = key_of::<3>(1).await;
    let peers = peers::<3>();
    assert_eq!(owner(&channel(&peers), &peers, &key).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_config_names_the_key() {
    let key = key_of::<3>(2).await;
    let peers = peers::<3>();
    let builder = Channel::builder("test:///ring").resolver(Ring(peers.to_vec()));
    let channel = builder.lazy().unwrap();
    let config =
        r#"{"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "key"}}]}"#;
    channel.set_service_config(crate::ServiceConfig::from_json(config).unwrap());
    for _ in 0..5 {
        assert_eq!(owner(&channel, &peers, &key).await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_gets_a_connection_with_its_first_call() {
    let key = key_of::<3>(1).await;
    let peers = peers::<3>();
    let channel = channel(&peers);
    for _ in 0..3 {
        call_with(&channel, &key).await.unwrap();
        settle().await;
    }
    assert_eq!(connections(&peers), [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_peer_without_a_connection_go_to_the_next_and_come_back() {
    let key = key_of::<3>(1).await;
    let peers = [Peer::new([]), connecting([Connect::Refuse]), Peer::new([])];
    let channel = channel(&peers);
    let other = owner(&channel, &peers, &key).await;
    assert_ne!(other, 1);
    assert_eq!(owner(&channel, &peers, &key).await, other);
    // It is tried again after the backoff, without a call that asks for it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(owner(&channel, &peers, &key).await, 1);
}

#[tokio::test(start_paused = true)]
async fn where_no_peer_answers_calls_fail() {
    let peers = [0; 3].map(|_| connecting([Connect::Refuse; 9]));
    let channel = channel(&peers);
    let status = call_with(&channel, "key").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn without_calls_the_next_is_tried_until_one_answers() {
    let key = key_of::<3>(0).await;
    let peers = [
        connecting([Connect::Refuse; 99]),
        Peer::new([]),
        Peer::new([]),
    ];
    let channel = channel(&peers);
    let mut state = channel.watch_state();
    channel.inner.core.activate();
    settle().await;
    let mut request = tonic::Request::new(String::new());
    request.metadata_mut().insert("key", key.parse().unwrap());
    // The call asks for a connection, and is given up at once.
    let call = channel.unary(&UNARY, request).into_future();
    let given_up = tokio::time::timeout(Duration::ZERO, call).await;
    assert!(given_up.is_err());
    state.until(ConnectivityState::Ready).await;
    assert_eq!(connections(&peers).iter().sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_key_prefers_a_connection_that_is_there() {
    fastrand::seed(7);
    let key = key_of::<3>(1).await;
    let peers = [
        connecting([Connect::Refuse; 99]),
        Peer::new([]),
        connecting([Connect::Refuse; 99]),
    ];
    let channel = channel(&peers);
    call_with(&channel, &key).await.unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        call(&channel).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(counts(&peers), [0, 21, 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_key_come_to_all_peers() {
    fastrand::seed(7);
    let peers = peers::<3>();
    let channel = channel(&peers);
    for _ in 0..90 {
        call(&channel).await.unwrap();
        settle().await;
    }
    let counts = counts(&peers);
    assert!(
        counts.iter().all(|count| (15..=45).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_state_is_idle_until_the_first_call() {
    let peers = peers::<2>();
    let channel = channel(&peers);
    let mut state = channel.watch_state();
    call_with(&channel, "key").await.unwrap();
    state.until(ConnectivityState::Ready).await;
    assert_eq!(connections(&peers).iter().sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_unused_is_made_again_by_the_next_call() {
    let key = key_of::<2>(0).await;
    let peers = peers::<2>();
    let channel = channel(&peers);
    call_with(&channel, &key).await.unwrap();
    peers[0].close(1);
    settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    peers[0].close(2);
    settle().await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    assert_eq!(owner(&channel, &peers, &key).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_work_makes_no_channel() {
    let policy = LoadBalancing::RingHash(RingHash::by_header("key-bin"));
    let builder = Channel::builder("test:///ring").resolver(Ring(Vec::new()));
    let status = builder.load_balancing(policy).lazy().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "invalid ring_hash_experimental: request_hash_header must be a metadata key that does not end with -bin"
    );
}
