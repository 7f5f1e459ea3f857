//! What a call holds while it is served.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;

use super::gate::Permit;

/// The permits of a call, until it ends.
#[derive(Debug, Default)]
pub(in crate::server) struct Place {
    /// Of fixed limits: its method's and the server's.
    permits: [Option<Permit>; 2],
    /// Where an adaptive limit wants to know how long it takes.
    measured: Option<Arc<Measured>>,
}

impl Place {
    pub(super) fn hold(&mut self, permit: Permit) {
        if permit.is_measured() {
            let measured = self.measured.get_or_insert_default();
            return measured.hold(permit);
        }
        let free = self.permits.iter_mut().find(|held| held.is_none());
        *free.expect("a call has a method and a server, with a fixed limit each") = Some(permit);
    }

    /// What its handler's side has to tell.
    pub(in crate::server) fn measured(&self) -> Option<Arc<Measured>> {
        self.measured.clone()
    }

    /// Gives up the place of a call whose deadline passed before it could begin: whatever kind it is, all its time is that of
    /// the server's queue.
    pub(in crate::server) fn came_late(self) {
        if let Some(measured) = self.measured {
            measured.is_unary.store(true, Relaxed);
            measured.finish(Code::DeadlineExceeded);
        }
    }

    /// Gives up the place of a call that ended with `code`.
    pub(in crate::server) fn finish(self, code: Code) {
        if let Some(measured) = self.measured {
            measured.finish(code);
        }
    }
}

/// A call that adaptive limits count and measure, as long as it may be one with one request and one response.
#[derive(Debug, Default)]
pub(in crate::server) struct Measured {
    permits: Mutex<Vec<Permit>>,
    /// Known once it is at its handler.
    is_unary: AtomicBool,
    /// Nanoseconds that its request took to come in.
    uploading: AtomicU64,
}

impl Measured {
    fn hold(&self, permit: Permit) {
        self.permits().push(permit);
    }

    fn take(&self) -> Vec<Permit> {
        std::mem::take(&mut *self.permits())
    }

    fn permits(&self) -> MutexGuard<'_, Vec<Permit>> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call turns out to have a stream: adaptive limits are done with it.
    pub(in crate::server) fn leave(&self) {
        // Dropped here, behind the lock.
        drop(self.take());
    }

    fn finish(&self, code: Code) {
        let uploading = Duration::from_nanos(self.uploading.load(Relaxed));
        let permits = self.take();
        if self.is_unary.load(Relaxed) {
            for permit in &permits {
                permit.measure(uploading, code);
            }
        }
    }
}

/// The time that the one request of a call takes to come in.
#[derive(Debug)]
pub(in crate::server) struct Uploading {
    measured: Arc<Measured>,
    since: Instant,
}

impl Uploading {
    pub(in crate::server) fn of(measured: Arc<Measured>) -> Self {
        measured.is_unary.store(true, Relaxed);
        Self {
            measured,
            since: Instant::now(),
        }
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let took = self.since.elapsed().as_nanos();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        self.measured.uploading.store(took, Relaxed);
    }
}
