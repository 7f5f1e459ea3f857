//! More clients than the server admits: every few seconds, for a while, with calls that take their time.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wireloom::{Channel, Code, Status};

use crate::proto::probe::{ProbeClient, Task};

/// How many calls the server serves at a time. Callers and attackers leave some room in it, the crowd does not.
pub const ADMITTED: usize = 256;

const CLIENTS: usize = 3 * ADMITTED;

/// Each has room for 250 calls.
const CONNECTIONS: usize = CLIENTS / 250 + 1;

const PAUSE: Duration = Duration::from_secs(4);
const RUSH: Duration = Duration::from_secs(1);

/// How long a call keeps its place: it hangs until its deadline.
const TIMEOUT: Duration = Duration::from_millis(200);

/// What says that the server has refused a call, rather than that it could not be reached.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A thread of its own, as if it were another process.
pub struct Crowd {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<Outcomes>,
}

/// How the calls of a crowd ended.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// They had a place, or waited for one.
    pub timed_out: usize,
    pub refused: usize,
    /// The server was gone.
    pub unreachable: usize,
}

impl Crowd {
    /// Comes to whatever server there is.
    pub fn start(server: watch::Receiver<SocketAddr>) -> Self {
        let stopping = watch::Sender::new(false);
        let stopped = stopping.subscribe();
        let thread = thread::spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(come_and_go(server, stopped))
        });
        Self { stopping, thread }
    }

    /// Ends it; gives how its calls ended.
    pub async fn stop(self) -> Outcomes {
        self.stopping.send_replace(true);
        let ended = tokio::task::spawn_blocking(|| self.thread.join());
        ended.await.unwrap().unwrap()
    }
}

async fn come_and_go(
    server: watch::Receiver<SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) -> Outcomes {
    let mut outcomes = Outcomes::default();
    while !*stopped.borrow() {
        let address = *server.borrow();
        rush(address, &mut outcomes).await;
        let _ = tokio::time::timeout(PAUSE, stopped.changed()).await;
    }
    outcomes
}

async fn rush(address: SocketAddr, outcomes: &mut Outcomes) {
    let channel = Channel::builder(&format!("http://{address}")).max_connections(CONNECTIONS);
    let client = ProbeClient::new(channel.lazy().unwrap());
    let end = Instant::now() + RUSH;
    let mut clients: JoinSet<_> = (0..CLIENTS).map(|_| call(client.clone(), end)).collect();
    while let Some(calls) = clients.join_next().await {
        for ended in calls.unwrap() {
            outcomes.count(&ended);
        }
    }
}

/// Calls until the end comes, waiting after a refusal for as long as is told.
async fn call(client: ProbeClient, end: Instant) -> Vec<Status> {
    let mut ended = Vec::new();
    while Instant::now() < end {
        let hanging = Task {
            hang: true,
            ..Task::default()
        };
        let status = client.unary(hanging).timeout(TIMEOUT).await.unwrap_err();
        let pause = pushback(&status).unwrap_or(TIMEOUT);
        if status.code() != Code::DeadlineExceeded {
            tokio::time::sleep(pause).await;
        }
        ended.push(status);
    }
    ended
}

fn pushback(status: &Status) -> Option<Duration> {
    let milliseconds = status.metadata().get(PUSHBACK)?.to_str().ok()?;
    Some(Duration::from_millis(milliseconds.parse().ok()?))
}

impl Outcomes {
    fn count(&mut self, ended: &Status) {
        match ended.code() {
            Code::DeadlineExceeded => self.timed_out += 1,
            Code::Unavailable if pushback(ended).is_some() => self.refused += 1,
            Code::Unavailable => self.unreachable += 1,
            _ => panic!("{ended}"),
        }
    }
}
