//! Runtimes of a server's own: a thread each, and connections handed out to them.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};
use tonic::{Code, Status};

use super::shutdown;
use crate::status;

/// Which runtimes of tokio serve a server's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtimes {
    /// The one that the server is started on.
    #[default]
    Current,
    /// Runtimes of the server's own, of one thread each: as many as the process may use cores.
    PerCore,
    /// So many of them.
    Threads(NonZeroUsize),
}

impl Runtimes {
    fn count(self) -> Option<usize> {
        match self {
            Self::Current => None,
            Self::PerCore => {
                Some(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
            }
            Self::Threads(threads) => Some(threads.get()),
        }
    }
}

/// What a runtime is told to do, on its thread.
type Job = Box<dyn FnOnce() + Send>;

/// Runtimes of one thread each. They end once they are [ended](Self::end) or dropped.
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// With which the search for the next begins.
    next: AtomicUsize,
}

struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    ended: oneshot::Receiver<()>,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// `None` where the runtime that there is serves.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE where the system refuses a thread or a runtime.
    pub(super) fn start(runtimes: Runtimes) -> Result<Option<Self>, Status> {
        let Some(count) = runtimes.count() else {
            return Ok(None);
        };
        let workers = (0..count).map(Worker::start).collect::<io::Result<_>>();
        let workers = workers.map_err(|error| {
            let message = format!("cannot start {count} runtimes: {error}");
            status::with_source(Code::Unavailable, message, error)
        })?;
        Ok(Some(Self {
            workers,
            next: AtomicUsize::new(0),
        }))
    }

    /// Has the runtime with the fewest connections do `job`, which is to keep what it gets as long as the connection is there.
    ///
    /// A connection stays where it is, for hours maybe, and a client often has but one: a hash of addresses, as `SO_REUSEPORT`
    /// has it, would leave some runtimes idle and others with several.
    pub(super) fn hand_out(&self, job: impl FnOnce(Held) + Send + 'static) {
        let count = self.workers.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let worker = (0..count)
            .map(|i| &self.workers[first.wrapping_add(i) % count])
            .min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        if let Some(worker) = worker {
            let held = Held::of(&worker.connections);
            worker.tell(move || job(held));
        }
    }

    /// Has each do one of `jobs`.
    pub(super) fn tell_each<J: FnOnce() + Send + 'static>(
        &self,
        jobs: impl IntoIterator<Item = J>,
    ) {
        for (worker, job) in self.workers.iter().zip(jobs) {
            worker.tell(job);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Ends them, with what handlers have left running on them; those whose thread is blocked end once it no longer is.
    pub(super) async fn end(self) {
        let ended: Vec<_> = self
            .workers
            .into_iter()
            .map(|worker| worker.ended)
            .collect();
        let all_ended = async {
            for ended in ended {
                // It is dropped rather than sent to: either way the thread is at its end.
                let _ = ended.await;
            }
        };
        let _ = shutdown::ended(all_ended).await;
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        // Never within a closure that is dropped here: a runtime may not be dropped where another one runs.
        let (give_runtime, runtime) = std::sync::mpsc::channel::<Runtime>();
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (at_end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("wireloom-{number}"))
            .spawn(move || {
                let _at_end: oneshot::Sender<()> = at_end;
                let Ok(runtime) = runtime.recv() else { return };
                runtime.block_on(async {
                    while let Some(job) = queue.recv().await {
                        job();
                    }
                });
                // Blocking work that still goes on does not hold up the rest.
                runtime.shutdown_background();
            })?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // The thread waits for it.
        let _ = give_runtime.send(runtime);
        Ok(Self {
            jobs,
            ended,
            connections: Arc::default(),
        })
    }

    fn tell(&self, job: impl FnOnce() + Send + 'static) {
        // The thread takes jobs as long as there is somebody to send them.
        let _ = self.jobs.send(Box::new(job));
    }
}

/// Counts a connection of a runtime while it is there.
pub(super) struct Held(Arc<AtomicUsize>);

impl Held {
    fn of(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
