//! Who makes the calls, and checks the answers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wireloom::Status;
use wireloom::tokio_stream as stream;

use crate::load::Tally;
use crate::proto::probe::{Outcome, ProbeClient, Task};

/// For each kind of calls.
const CALLERS: u64 = 4;

/// Before the next call: those that fail at once are not to be most of all that are made, the more so the slower the machine
/// is at those that succeed.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The kinds of calls.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

const KINDS: [Kind; 4] = [
    Kind::Unary,
    Kind::ServerStreaming,
    Kind::ClientStreaming,
    Kind::Bidi,
];

/// Tasks that make one call after the other.
pub struct Callers {
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
    tallies: Vec<(Kind, Arc<Mutex<Count>>)>,
}

/// What became of the calls of one kind.
#[derive(Default)]
struct Count {
    ended: Tally,
    cancelled: usize,
}

impl Count {
    /// Counts a call that had to end within `timeout`; `None` where it was cancelled.
    fn add(&mut self, timeout: Duration, took: Duration, ended: Option<Result<(), Status>>) {
        match ended {
            Some(ended) => self.ended.record(timeout, took, &ended),
            None => self.cancelled += 1,
        }
    }
}

impl Callers {
    pub fn start(client: &ProbeClient, seed: u64) -> Self {
        let stopping = watch::Sender::new(false);
        let tallies = KINDS.map(|kind| (kind, Arc::<Mutex<Count>>::default()));
        let mut tasks = JoinSet::new();
        for (index, (kind, count)) in (0..).zip(&tallies) {
            for caller in 0..CALLERS {
                let caller = Caller {
                    client: client.clone(),
                    kind: *kind,
                    rng: Rng::with_seed(seed ^ (index * CALLERS + caller)),
                    count: Arc::clone(count),
                };
                tasks.spawn(caller.run(stopping.subscribe()));
            }
        }
        Self {
            stopping,
            tasks,
            tallies: tallies.into(),
        }
    }

    /// Lets the calls under way end; prints and gives what became of all, kind by kind.
    pub async fn stop(mut self) -> Vec<Tally> {
        self.stopping.send_replace(true);
        let ended = async {
            while let Some(caller) = self.tasks.join_next().await {
                caller.unwrap();
            }
        };
        let ended = tokio::time::timeout(crate::PATIENCE, ended).await;
        ended.expect("all calls have deadlines");
        let mut tallies = Vec::new();
        for (kind, count) in self.tallies {
            let count = count.lock().unwrap();
            println!("{kind:?}: {}, {} cancelled", count.ended, count.cancelled);
            tallies.push(count.ended.clone());
        }
        tallies
    }
}

struct Caller {
    client: ProbeClient,
    kind: Kind,
    rng: Rng,
    count: Arc<Mutex<Count>>,
}

impl Caller {
    async fn run(mut self, stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            let patience = match self.rng.u32(..10) {
                0 => Duration::from_millis(self.rng.u64(..20)),
                _ => Duration::MAX,
            };
            let timeout = Duration::from_millis(self.rng.u64(100..2000));
            let started = Instant::now();
            let call = tokio::time::timeout(patience, self.call(timeout)).await;
            let failed = !matches!(call, Ok(Ok(())));
            self.count
                .lock()
                .unwrap()
                .add(timeout, started.elapsed(), call.ok());
            if failed {
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    async fn call(&mut self, timeout: Duration) -> Result<(), Status> {
        let size = 1 << self.rng.u32(..14);
        let count = self.rng.u32(1..50);
        let task = move |count| Task {
            name: "x".repeat(size),
            count,
            ..Task::default()
        };
        let client = &self.client;
        match self.kind {
            Kind::Unary => {
                let call = match self.rng.bool() {
                    true => client.unary(task(0)),
                    false => client.retried(task(0)),
                };
                let outcome = call.timeout(timeout).await?.into_inner();
                assert_eq!(outcome.name.len(), size);
            }
            Kind::ServerStreaming => {
                let call = client.server_stream(task(count)).timeout(timeout);
                read(call.await?.into_inner(), count, size).await?;
            }
            Kind::ClientStreaming => {
                let tasks = stream::iter((0..count).map(task));
                let outcome = client.client_stream(tasks).timeout(timeout).await?;
                assert_eq!(outcome.get_ref().index, count);
            }
            Kind::Bidi => {
                let tasks = stream::iter((0..count).map(task));
                let call = client.bidi(tasks).timeout(timeout);
                read(call.await?.into_inner(), count, size).await?;
            }
        }
        Ok(())
    }
}

/// Reads `count` outcomes of some `size` each, in order.
async fn read(
    mut outcomes: wireloom::Streaming<Outcome>,
    count: u32,
    size: usize,
) -> Result<(), Status> {
    let mut read = 0;
    while let Some(outcome) = outcomes.message().await? {
        assert_eq!((outcome.index, outcome.name.len()), (read, size));
        read += 1;
    }
    assert_eq!(read, count);
    Ok(())
}
