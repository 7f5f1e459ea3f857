//! The most that is held at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::leaks::Holdings;

const PERIOD: Duration = Duration::from_millis(5);

/// Looks at the memory and the descriptors of the process.
pub struct Gauge {
    most: Arc<Most>,
    task: AbortHandle,
}

#[derive(Default)]
struct Most {
    bytes: AtomicIsize,
    descriptors: AtomicUsize,
}

impl Gauge {
    pub fn start() -> Self {
        let most = Arc::<Most>::default();
        let watched = Arc::clone(&most);
        let task = tokio::spawn(async move {
            loop {
                let bytes = Holdings::now().bytes;
                watched.bytes.fetch_max(bytes, Ordering::Relaxed);
                watched
                    .descriptors
                    .fetch_max(descriptors(), Ordering::Relaxed);
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self {
            most,
            task: task.abort_handle(),
        }
    }

    /// The most bytes and descriptors that were held.
    pub fn stop(self) -> (isize, usize) {
        self.task.abort();
        let Most { bytes, descriptors } = &*self.most;
        (
            bytes.load(Ordering::Relaxed),
            descriptors.load(Ordering::Relaxed),
        )
    }
}

/// How many files and sockets are open.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
