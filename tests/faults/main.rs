//! What becomes of calls when the network, or a server, fails: how many succeed, with what code the others fail, that
//! none outlives its deadline, and that nothing is left of them.
//!
//! Most faults are a proxy's ([`proxy`]), which the tests command by events. Those of a network of machines
//! (`namespaces.rs`) need Linux, root, iproute2 and nftables: they count as ignored, and `.ci/run` runs them where it may.

#![allow(clippy::unwrap_used)]

mod attacks;
mod bad_clients;
mod cancellation;
mod connecting;
mod going_away;
mod half_open;
mod leaks;
mod limits;
mod links;
mod load;
#[cfg(target_os = "linux")]
mod namespaces;
mod negative;
mod proxy;
mod resolution;
mod restarts;
mod server;

use std::time::{Duration, Instant};

use wireloom::{Channel, ChannelBuilder};

use self::leaks::{Accountant, Holdings};
use self::proto::probe::{ProbeClient, Task};
use self::proxy::{Link, Proxy};
use self::server::Server;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}

#[global_allocator]
static ALLOCATOR: Accountant = Accountant;

/// How long a test waits for what has to come about.
const PATIENCE: Duration = Duration::from_secs(15);

/// The deadline of calls that are to end before it.
const LONG: Duration = Duration::from_secs(10);

/// That of calls that are to end by it.
const SHORT: Duration = Duration::from_millis(200);

/// A server, and a proxy before it.
struct Setting {
    server: Server,
    proxy: Proxy,
}

impl Setting {
    async fn new() -> Self {
        let server = Server::start(wireloom::Server::builder()).await;
        let proxy = Proxy::to(server.address).await;
        Self { server, proxy }
    }

    fn client(&self) -> ProbeClient {
        client(&self.proxy.target(), |builder| builder)
    }

    /// What is held once all that stays for ever is there: to be taken before the client is made.
    async fn holdings(&self) -> Holdings {
        let client = self.client();
        client.unary(task("first")).await.unwrap();
        drop(client);
        self.proxy.until(|counts| counts.open == 0).await;
        Holdings::settled().await
    }

    /// Waits until nothing is left of the calls: no connection, stream, task or memory.
    async fn ends_with(self, before: Holdings) {
        self.proxy.until(|counts| counts.open == 0).await;
        before.are_back().await;
        assert_eq!(self.server.calls(), 0);
    }
}

fn client(target: &str, options: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> ProbeClient {
    let channel = options(Channel::builder(target)).lazy().unwrap();
    ProbeClient::new(channel)
}

fn task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        ..Task::default()
    }
}

fn hanging() -> Task {
    Task {
        hang: true,
        ..Task::default()
    }
}

/// A task that streams `count` outcomes of some `size` each.
fn streaming(count: u32, size: usize) -> Task {
    Task {
        count,
        ..task(&"x".repeat(size))
    }
}

/// Fifty milliseconds away.
fn distant() -> Link {
    Link {
        latency: Duration::from_millis(50),
        ..Link::default()
    }
}

/// Lets others work until `is_so`; fails the test where that does not come about.
async fn until(is_so: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < limit,
            "what a test waits for does not come"
        );
        tokio::task::yield_now().await;
    }
}
