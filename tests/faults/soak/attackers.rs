//! Clients of the same server that mean harm, at random.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wireloom_peer::raw::{END_HEADERS, Raw, call, field, frame, head, kind, message, settings};

/// What one flood sends at most.
const FLOOD: usize = 1 << 20;

const UNARY: &str = "/probe.Probe/Unary";
const CLIENT_STREAM: &str = "/probe.Probe/ClientStream";
const SERVER_STREAM: &str = "/probe.Probe/ServerStream";

/// The task of a call that hangs (`Task.hang`), and one that streams some thousand outcomes (`Task.count`).
const HANGS: &[u8] = &[0x18, 1];
const STREAMS: &[u8] = &[0x10, 0xff, 0x7f];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attack {
    Pings,
    Settings,
    WindowUpdates,
    EmptyData,
    Continuations,
    LargeHeaders,
    RapidReset,
    MadeYouReset,
    HangingCalls,
    UnreadStreams,
    /// Half of a message, and then nothing.
    SlowRequest,
    SilentConnections,
    Noise,
}

const ATTACKS: [Attack; 13] = [
    Attack::Pings,
    Attack::Settings,
    Attack::WindowUpdates,
    Attack::EmptyData,
    Attack::Continuations,
    Attack::LargeHeaders,
    Attack::RapidReset,
    Attack::MadeYouReset,
    Attack::HangingCalls,
    Attack::UnreadStreams,
    Attack::SlowRequest,
    Attack::SilentConnections,
    Attack::Noise,
];

/// Attackers, who go from one attack to the next, at whatever server there is: on a thread of their own, as if they were
/// another process.
pub struct Attackers {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<()>,
    attacks: Arc<Mutex<BTreeMap<Attack, usize>>>,
}

impl Attackers {
    pub fn start(count: u64, server: &watch::Receiver<SocketAddr>, seed: u64) -> Self {
        let stopping = watch::Sender::new(false);
        let attacks = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let mut attackers = Vec::new();
        for n in 1..=count {
            let attacker = Attacker {
                server: server.clone(),
                rng: Rng::with_seed(seed ^ (n << 32)),
                attacks: Arc::clone(&attacks),
            };
            attackers.push(attacker.run(stopping.subscribe()));
        }
        let thread = thread::spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut tasks = JoinSet::from_iter(attackers);
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
            });
        });
        Self {
            stopping,
            thread,
            attacks,
        }
    }

    /// Ends the attacks; prints which there were.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let ended = tokio::task::spawn_blocking(|| self.thread.join());
        ended.await.unwrap().unwrap();
        println!("{:?}", self.attacks.lock().unwrap());
    }
}

struct Attacker {
    server: watch::Receiver<SocketAddr>,
    rng: Rng,
    attacks: Arc<Mutex<BTreeMap<Attack, usize>>>,
}

impl Attacker {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let attack = ATTACKS[self.rng.usize(..ATTACKS.len())];
            *self.attacks.lock().unwrap().entry(attack).or_default() += 1;
            let address = *self.server.borrow();
            let lasts = Duration::from_millis(self.rng.u64(50..1000));
            tokio::select! {
                // The server may be gone, and ends the connections of most attacks.
                _ = run(attack, address, &mut self.rng) => {}
                () = tokio::time::sleep(lasts) => {}
                _ = stopped.changed() => {}
            }
            // Attackers and clients share a machine: without a rest, it is that which they fight for.
            let rest = Duration::from_millis(self.rng.u64(200..2000));
            let _ = tokio::time::timeout(rest, stopped.changed()).await;
        }
    }
}

async fn run(attack: Attack, address: SocketAddr, rng: &mut Rng) -> std::io::Result<()> {
    if attack == Attack::SilentConnections {
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(Raw::connect(address).await?);
        }
        return std::future::pending().await;
    }
    // No window, for those that do not read.
    let parameters: &[(u16, u32)] = match attack {
        Attack::UnreadStreams => &[(4, 0)],
        _ => &[],
    };
    let mut raw = Raw::begin(address, parameters).await?;
    let open = |stream| frame(kind::HEADERS, END_HEADERS, stream, &head(CLIENT_STREAM));
    let calls = |path, task: &[u8]| -> Vec<u8> {
        (0..100).flat_map(|n| call(2 * n + 1, path, task)).collect()
    };
    match attack {
        Attack::Pings => drop(raw.flood(FLOOD, |_| frame(kind::PING, 0, 0, &[7; 8])).await),
        Attack::Settings => drop(raw.flood(FLOOD, |n| settings(&[(4, n)])).await),
        Attack::WindowUpdates => {
            let update = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
            raw.flood(FLOOD, |_| update.clone()).await;
        }
        Attack::EmptyData => {
            raw.send(&open(1)).await?;
            raw.flood(FLOOD, |_| frame(kind::DATA, 0, 1, &[])).await;
        }
        Attack::Continuations => {
            raw.send(&frame(kind::HEADERS, 0, 1, &head(UNARY))).await?;
            let more = frame(kind::CONTINUATION, 0, 1, &[]);
            raw.flood(FLOOD, |_| more.clone()).await;
        }
        Attack::LargeHeaders => {
            let mut block = head(UNARY);
            block.extend(field("x", &"x".repeat(16_200)));
            let large = |n| frame(kind::HEADERS, END_HEADERS, n, &block);
            raw.flood(FLOOD, large).await;
        }
        Attack::RapidReset => {
            let reset = |n| frame(kind::RST_STREAM, 0, n, &8_u32.to_be_bytes());
            let calls = |n| [call(n, UNARY, HANGS), reset(n)].concat();
            raw.flood(FLOOD, calls).await;
        }
        Attack::MadeYouReset => {
            let hanging = |n| frame(kind::DATA, 0, n, &message(HANGS));
            let nothing = |n| frame(kind::WINDOW_UPDATE, 0, n, &[0; 4]);
            let calls = |n| [open(n), hanging(n), nothing(n)].concat();
            raw.flood(FLOOD, calls).await;
        }
        Attack::HangingCalls => raw.send(&calls(UNARY, HANGS)).await?,
        Attack::UnreadStreams => raw.send(&calls(SERVER_STREAM, STREAMS)).await?,
        Attack::SlowRequest => {
            raw.send(&open(1)).await?;
            raw.send(&frame(kind::DATA, 0, 1, &[0, 0, 1])).await?;
        }
        Attack::Noise => {
            let noise = std::iter::repeat_with(|| rng.u8(..)).take(10_000);
            raw.send(&noise.collect::<Vec<_>>()).await?;
        }
        Attack::SilentConnections => {}
    }
    // What holds on does so until its time is over.
    raw.ended().await;
    Ok(())
}
