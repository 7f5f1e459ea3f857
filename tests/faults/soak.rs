//! Calls of all four kinds for as long as you like, with a fault every few seconds, and clients that attack their server.
//!
//! `cargo bench --profile dev -p wireloom-tests --bench soak -- 600` soaks for ten minutes; a second number is the seed of
//! another run, to have its faults again, a third how many attackers there are at a time (2).
//!
//! It fails where a call outlives its deadline by more than the machine explains (a server without faults and attackers, which
//! is called at the same time, says what that is), ends with a code that is none of the faults', or with another answer than
//! was asked for; and where, once all calls have ended, a task, a stream, a connection, descriptor or memory is left. It prints what
//! the calls ended with.

#![allow(clippy::unwrap_used)]

#[path = "soak/attackers.rs"]
mod attackers;
#[path = "soak/callers.rs"]
mod callers;
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
use wireloom::{Channel, Code};

use self::attackers::Attackers;
use self::callers::Callers;
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
const PATIENCE: Duration = Duration::from_secs(15);

/// How long calls are made before what is held then is looked at.
const WARM_UP: Duration = Duration::from_secs(2);

/// Those who attack, at a time.
const ATTACKERS: u64 = 2;

/// What calls may end with: what a server is that cannot be reached, or not in time.
const CODES: [Code; 3] = [Code::Ok, Code::Unavailable, Code::DeadlineExceeded];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Cargo adds a flag of its own.
    let numbers = env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let numbers: Vec<_> = numbers.collect();
    let seconds = numbers.first().copied().unwrap_or(60);
    let seed = numbers.get(1).copied().unwrap_or_else(|| fastrand::u64(..));
    println!("{seconds} seconds, seed {seed}");

    let server = Server::start(wireloom::Server::builder()).await;
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
    let attackers = Attackers::start(
        numbers.get(2).copied().unwrap_or(ATTACKERS),
        &weather.address(),
        seed,
    );
    let mut most = before.bytes;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        weather.change().await;
        most = most.max(Holdings::now().bytes);
    }
    attackers.stop().await;
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
    println!("{} bytes at most were held", most - before.bytes);
    for tally in tallies {
        tally.assert_ended_with_late(&CODES, held_up);
        // Faults are rare: a client that does not heal ends with far fewer.
        let most = tally.attempted() * 2 / 3;
        assert!(tally.succeeded() > most, "most calls failed: {tally}");
    }
}

/// How many files and sockets are open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A client that finds half-open connections.
fn client(proxy: &Proxy) -> ProbeClient {
    let channel = Channel::builder(&proxy.target())
        .keepalive(Duration::from_secs(10))
        .keepalive_timeout(Duration::from_secs(1))
        .lazy();
    ProbeClient::new(channel.unwrap())
}
