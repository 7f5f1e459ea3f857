//! Calls of a server that has neither faults nor attackers, at the same time and on the same machine: what takes long for
//! them is the machine's doing.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::watch;

use crate::proto::probe::{ProbeClient, Task};
use crate::server::Server;

const PAUSE: Duration = Duration::from_millis(5);

/// A thread of its own, with server and client.
pub struct Witness {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<Duration>,
}

impl Witness {
    pub fn start() -> Self {
        let stopping = watch::Sender::new(false);
        let stopped = stopping.subscribe();
        let thread = thread::spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(call(stopped))
        });
        Self { stopping, thread }
    }

    /// By how much it was held up at most.
    pub async fn stop(self) -> Duration {
        self.stopping.send_replace(true);
        let ended = tokio::task::spawn_blocking(|| self.thread.join());
        ended.await.unwrap().unwrap()
    }
}

async fn call(stopped: watch::Receiver<bool>) -> Duration {
    let server = Server::start(wireloom::Server::builder()).await;
    let target = format!("http://{}", server.address);
    let client = ProbeClient::connect(&target).await.unwrap();
    let mut worst = Duration::ZERO;
    while !*stopped.borrow() {
        let started = Instant::now();
        tokio::time::sleep(PAUSE).await;
        client.unary(Task::default()).await.unwrap();
        worst = worst.max(started.elapsed() - PAUSE);
    }
    worst
}
