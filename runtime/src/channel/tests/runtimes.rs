//! Channels that outlive the runtime that they were woken up on, and that end while they connect.

use std::future::Future;

use super::*;
use crate::service_config::ServiceConfig;

/// Answers after a while.
struct Slow(Arc<Peer>);

impl Resolver for Slow {
    async fn run(&self, updates: ResolverUpdates) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let address = scripted(Arc::clone(&self.0));
        updates.send(Ok(Resolution::new([address])));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn within<T>(limit: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(seconds(limit), what)
        .await
        .expect("it does not hang")
}

#[test]
fn a_runtime_that_ends_before_the_first_answer_of_the_resolver_leaves_calls_of_others_working() {
    let peer = Peer::new([]);
    let channel = Channel::builder("test:///x")
        .resolver(Slow(peer))
        .lazy()
        .unwrap();
    let first = runtime();
    let _ = first
        .block_on(async { tokio::time::timeout(Duration::from_millis(20), call(&channel)).await });
    drop(first);
    runtime().block_on(within(3, call(&channel))).unwrap();
}

/// All addresses are connected to again, not one.
#[test]
fn after_the_end_of_a_runtime_all_addresses_get_calls_again() {
    let peers = peers::<3>();
    let registry = Registry::of(&peers.each_ref());
    let channel = registry.channel(round_robin);
    let first = runtime();
    first.block_on(async {
        for _ in 0..9 {
            call(&channel).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    drop(first);
    let before = counts(&peers);
    runtime().block_on(within(5, async {
        for _ in 0..30 {
            call(&channel).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }));
    let after = counts(&peers);
    let got: Vec<_> = (0..3).map(|i| after[i] - before[i]).collect();
    assert!(got.iter().all(|got| *got > 0), "{got:?}");
}

/// A service config that is set outside a runtime.
#[test]
fn a_policy_with_new_subchannels_is_set_outside_a_runtime() {
    let peers = peers::<2>();
    let channel = Registry::of(&peers.each_ref()).channel(|builder| builder);
    let inside = runtime();
    inside.block_on(call(&channel)).unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    let clone = channel.clone();
    std::thread::spawn(move || {
        let config = ServiceConfig::from_json(r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#);
        clone.set_service_config(config.unwrap());
        done.send(()).unwrap();
    });
    let done = is_done.recv_timeout(seconds(3));
    std::mem::forget(inside);
    assert!(
        done.is_ok(),
        "{done:?}: Timeout is a deadlock, Disconnected a panic"
    );
}

/// A channel that is dropped while it connects leaves nothing.
#[test]
fn channels_that_are_dropped_while_they_connect_leave_no_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let says = |act: Act| act.step(wireloom_peer::Step::Data(vec![0, 0, 0, 0, 2, 8, 1]));
        let peer = Peer::new((0..200).map(|_| says(Act::read().headers())));
        for round in 0..100_u64 {
            let registry = Registry::of(&[&peer]);
            let channel = registry.channel(|builder| round_robin(builder).health_check("greeter"));
            let call = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
            drop(channel);
            let begun = std::time::Instant::now();
            let spin = Duration::from_micros(100 + fastrand::u64(0..600));
            if round % 2 == 0 {
                while begun.elapsed() < spin {
                    std::hint::spin_loop();
                }
            } else {
                tokio::time::sleep(spin).await;
            }
            call.abort();
            drop(registry);
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        for _ in 0..50 {
            if metrics.num_alive_tasks() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(metrics.num_alive_tasks(), 0);
    });
}

/// Busy as its runtime ends, and then answers.
struct Busy(Arc<Peer>);

impl Resolver for Busy {
    async fn run(&self, updates: ResolverUpdates) {
        std::thread::sleep(Duration::from_millis(400));
        let address = scripted(Arc::clone(&self.0));
        updates.send(Ok(Resolution::new([address])));
    }
}

/// The runtime ends while the resolver answers.
#[test]
fn a_runtime_that_ends_as_the_resolver_answers_ends() {
    let channel = Channel::builder("test:///x")
        .resolver(Busy(Peer::new([])))
        .lazy()
        .unwrap();
    let runtime = runtime();
    let called = channel.clone();
    runtime.spawn(async move { call(&called).await });
    std::thread::sleep(Duration::from_millis(100));
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        done.send(()).unwrap();
    });
    is_done
        .recv_timeout(seconds(5))
        .expect("the runtime's end hangs");
}
