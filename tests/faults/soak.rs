//! Calls of all four kinds for as long as you like, with a fault every few seconds, clients that attack their server, and
//! every few seconds more clients than it admits.
//!
//! `cargo bench --profile dev -p wireloom-tests --bench soak -- 600` soaks for ten minutes; a second number is the seed of
//! another run, to have its faults again, a third how many attackers there are at a time (2).
//!
//! It fails where a call outlives its deadline by more than the machine explains (a server without faults and attackers, which
//! is called at the same time, says what that is), ends with a code that is none of the faults', or with another answer than
//! was asked for; where more is held at any time than what the clients there are can account for; and where, once all calls have
//! ended, a task, a stream, a connection, descriptor or memory is left. It prints what the calls ended with.

#![allow(clippy::unwrap_used)]

#[path = "soak/attackers.rs"]
mod attackers;
#[path = "soak/callers.rs"]
mod callers;
#[path = "soak/crowd.rs"]
mod crowd;
#[path = "soak/gauge.rs"]
mod gauge;
mod leaks;
#[allow(dead_code)]
mod load;
#[allow(dead_code)]
mod proxy;
#[allow(dead_code)]
mod server;
#[path = "soak/weather.rs"]
mod weather;
#[path = "soak/witness.rs"]
mod witness;

use std::env;
use std::time::{Duration, Instant};

use fastrand::Rng;
use wireloom::server::Limits;
use wireloom::{Channel, Code};

use self::attackers::Attackers;
use self::callers::Callers;
use self::crowd::Crowd;
use self::gauge::{Gauge, descriptors};
use self::leaks::{Accountant, Holdings};
use self::proto::probe::ProbeClient;
use self::proxy::Proxy;
use self::server::Server;
use self::weather::Weather;
use self::witness::Witness;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}

#[global_allocator]
static ALLOCATOR: Accountant = Accountant;

/// How long what has to come about may take.
///
/// What limits refuse is told of every ten seconds, until it is nothing: that is a task until then, for two such times at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long calls are made before what is held then is looked at.
const WARM_UP: Duration = Duration::from_secs(2);

/// Those who attack, at a time.
const ATTACKERS: u64 = 2;

/// What may be held at any time, on both sides of all connections: by callers and the crowd, and by each attacker. A window of
/// a connection has 16 MiB; fifty connections that say nothing are a hundred descriptors, twice where one attack has not quite
/// ended as the next begins.
const MOST_BYTES: isize = 32 << 20;
const MOST_DESCRIPTORS: usize = 200;

/// What calls may end with: what a server is that cannot be reached, or not in time.
const CODES: [Code; 3] = [Code::Ok, Code::Unavailable, Code::DeadlineExceeded];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Cargo adds a flag of its own.
    let numbers = env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let numbers: Vec<_> = numbers.collect();
    let seconds = numbers.first().copied().unwrap_or(60);
    let seed = numbers.get(1).copied().unwrap_or_else(|| fastrand::u64(..));
    let attacker_count = numbers.get(2).copied().unwrap_or(ATTACKERS);
    println!("{seconds} seconds, seed {seed}");

    let server = Server::start(server()).await;
    let proxy = Proxy::to(server.address).await;
    let callers = Callers::start(&client(&proxy), seed);
    tokio::time::sleep(WARM_UP).await;
    callers.stop().await;
    proxy.until(|counts| counts.open == 0).await;
    let before = Holdings::settled().await;
    let descriptors_before = descriptors();

    let witness = Witness::start();
    let callers = Callers::start(&client(&proxy), seed);
    let mut weather = Weather::new(server, proxy, Rng::with_seed(seed));
    let attackers = Attackers::start(attacker_count, &weather.address(), seed);
    let crowd = Crowd::start(weather.address());
    let gauge = Gauge::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        weather.change().await;
    }
    attackers.stop().await;
    let crowd = crowd.stop().await;
    println!("a crowd that comes and goes: {crowd:?}");
    let (most_bytes, most_descriptors) = gauge.stop();
    let tallies = callers.stop().await;
    let held_up = witness.stop().await;
    println!("calls of a server in peace were held up by {held_up:?} at most");
    let (server, proxy) = weather.end();

    proxy.until(|counts| counts.open == 0).await;
    before.are_back().await;
    assert_eq!(server.calls(), 0, "streams are left");
    let bytes = Holdings::now().bytes - before.bytes;
    let descriptors = descriptors();
    assert!(
        descriptors <= descriptors_before,
        "{descriptors} descriptors"
    );
    println!("no connection, stream, descriptor or task is left, and {bytes} bytes");
    let most_bytes = most_bytes - before.bytes;
    println!("{most_bytes} bytes and {most_descriptors} descriptors at most were held");
    let holders = 1 + attacker_count as usize;
    assert!(most_bytes < MOST_BYTES * holders as isize);
    assert!(most_descriptors < MOST_DESCRIPTORS * holders);
    assert!(crowd.refused > 0, "the server was not overloaded");
    for tally in tallies {
        tally.assert_ended_with_late(&CODES, held_up);
        // Faults are rare: a client that does not heal ends with far fewer.
        let most = tally.attempted() * 2 / 3;
        assert!(tally.succeeded() > most, "most calls failed: {tally}");
    }
}

/// A server that admits so many calls at a time.
fn server() -> wireloom::Server {
    wireloom::Server::builder().limits(Limits {
        max_concurrent_calls: Some(crowd::ADMITTED),
        ..Limits::default()
    })
}

/// A client that finds half-open connections.
fn client(proxy: &Proxy) -> ProbeClient {
    let channel = Channel::builder(&proxy.target())
        .keepalive(Duration::from_secs(10))
        .keepalive_timeout(Duration::from_secs(1))
        .lazy();
    ProbeClient::new(channel.unwrap())
}
