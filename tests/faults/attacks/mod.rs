//! Clients that mean harm, while one that does not goes on calling: its calls all succeed, and what the attackers can make
//! the server hold is bounded, and gone once they are.

mod budgets;
mod connections;
#[cfg(target_os = "linux")]
mod descriptors;
mod floods;
mod headers;
mod readers;
mod resets;

use std::fs;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use wireloom::Code;
use wireloom_peer::raw::{Ended, Raw, kind};

use crate::leaks::Holdings;
use crate::load::Load;
use crate::server::Server;
use crate::{LONG, client, task};

const MIB: isize = 1 << 20;

/// What a flood sends at most: one that is not ended by then fails its test.
const FLOOD: usize = 64 << 20;

pub const UNARY: &str = "/probe.Probe/Unary";
const CLIENT_STREAM: &str = "/probe.Probe/ClientStream";
const SERVER_STREAM: &str = "/probe.Probe/ServerStream";

/// The task of a call that hangs (`Task.hang`).
pub const HANGS: &[u8] = &[0x18, 1];

/// What the server says to those who ask for too much.
fn calm(text: &str) -> Ended {
    Ended::GoneAway(u32::from(h2::Reason::ENHANCE_YOUR_CALM), text.to_owned())
}

/// A server under attack, and a client that goes on calling it.
pub struct Siege {
    server: Server,
    load: Load,
    before: Holdings,
    sockets: usize,
    /// The most that was held, and who looks.
    most: Arc<AtomicIsize>,
    watch: AbortHandle,
}

impl Siege {
    pub async fn lay(server: wireloom::Server) -> Self {
        let server = Server::start(server).await;
        let client = client(&format!("http://{}", server.address), |builder| builder);
        let load = Load::start(2, LONG, move || {
            client.unary(task("a")).timeout(LONG).into_future()
        });
        load.until_succeeded(20).await;
        let sockets = sockets(server.address);
        let most = Arc::new(AtomicIsize::new(0));
        let watched = Arc::clone(&most);
        let watch = tokio::spawn(async move {
            loop {
                watched.fetch_max(Holdings::now().bytes, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self {
            server,
            load,
            before: Holdings::now(),
            sockets,
            most,
            watch: watch.abort_handle(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// An attacker, past its preface.
    pub async fn attacker(&self) -> Raw {
        self.attacker_with(&[]).await
    }

    /// An attacker with settings of its own.
    async fn attacker_with(&self, settings: &[(u16, u32)]) -> Raw {
        let mut raw = Raw::begin(self.server.address, settings).await.unwrap();
        // The connection's window is larger from there on.
        raw.until(kind::WINDOW_UPDATE).await.unwrap().unwrap();
        raw
    }

    /// Floods the server by one connection; gives how that ended.
    async fn flood(&self, next: impl FnMut(u32) -> Vec<u8>) -> Ended {
        let flooded = self.attacker().await.flood(FLOOD, next).await;
        flooded.expect("the server lets the flood go on")
    }

    /// How many calls of attackers have been in handlers.
    fn attacking_calls(&self) -> usize {
        (self.server.ended_calls() + self.server.calls())
            .saturating_sub(self.load.tally().attempted())
    }

    /// The most that was held at any time, beyond what was before.
    fn most_held(&self) -> isize {
        self.most.load(Ordering::Relaxed) - self.before.bytes
    }

    /// The attack is over: the well-behaved client has not been disturbed, and no more than `most` bytes were held for
    /// it, nor anything is now.
    pub async fn ends_with_at_most(self, most: isize) {
        self.load.until_succeeded(20).await;
        crate::until(|| self.server.calls() <= 2).await;
        crate::until(|| sockets(self.server.address) <= self.sockets).await;
        let held = self.most_held();
        assert!(held <= most, "{held} bytes were held");
        self.watch.abort();
        self.load.stop().await.assert_all(&[Code::Ok]);
        self.before.are_back().await;
    }
}

/// How many sockets this process has with `server`, on either side.
fn sockets(server: SocketAddr) -> usize {
    let port = format!(":{:04X}", server.port());
    let is_ours = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // Local and remote address; the inode is zero of those that no process holds.
        fields.len() > 9
            && fields[9] != "0"
            && (fields[1].ends_with(&port) || fields[2].ends_with(&port))
    };
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    table.lines().filter(is_ours).count()
}
