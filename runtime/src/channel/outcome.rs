//! What attempts came to, told to those who judge servers by it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tonic::Code;

use super::breaker::Admission;

/// Whom an attempt tells what it came to, once it has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Where addresses are compared.
    pub(super) tally: Option<Arc<Tally>>,
    /// Where there is a circuit breaker.
    pub(super) admission: Option<Admission>,
}

impl Outcome {
    pub(crate) fn ended(self, code: Code) {
        if let Some(tally) = self.tally {
            tally.count(code);
        }
        if let Some(admission) = self.admission {
            admission.ended(code);
        }
    }
}

/// The attempts on one address that have ended since the last time that somebody looked.
#[derive(Debug, Default)]
pub(super) struct Tally {
    successes: AtomicU64,
    failures: AtomicU64,
}

impl Tally {
    /// Counts an attempt. What the client itself has cancelled says nothing of the server: the slower of two hedges is
    /// not a bad one.
    fn count(&self, code: Code) {
        let counter = match code {
            Code::Ok => &self.successes,
            Code::Cancelled => return,
            _ => &self.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Successes and failures; counts from zero again.
    pub(super) fn take(&self) -> (u64, u64) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        (take(&self.successes), take(&self.failures))
    }
}
