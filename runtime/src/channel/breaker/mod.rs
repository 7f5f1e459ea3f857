//! Circuit breakers: whether an address gets calls of a method.

mod circuit;
mod window;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;
use tonic::Code;

use self::circuit::{Circuit, End};
use crate::policy::CircuitBreaker;

/// The most methods of an address that have a circuit. A client of any path, such as a proxy, may make calls of more: those
/// that have had none for a window make room, and where none can, calls of further methods go without.
const MAX_METHODS: usize = 1000;

/// What all circuits of a channel have in common.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: CircuitBreaker,
    /// How many circuits are not closed.
    tripped: AtomicUsize,
}

/// The circuits of one address, by method.
#[derive(Debug)]
pub(super) struct Circuits {
    breaker: Arc<Breaker>,
    of_methods: RwLock<Methods>,
}

#[derive(Debug, Default)]
struct Methods {
    circuits: HashMap<Box<str>, Arc<Shared>>,
    /// When room was last made.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    breaker: Arc<Breaker>,
    circuit: Mutex<Circuit>,
}

/// An attempt that goes through a circuit, until it has ended; one that is dropped before came to nothing.
#[derive(Debug)]
pub(super) struct Admission {
    /// `None` once it has ended, and for a method that has none.
    circuit: Option<Arc<Shared>>,
    round: u64,
}

impl Breaker {
    pub(super) fn new(policy: CircuitBreaker) -> Self {
        Self {
            policy,
            tripped: AtomicUsize::new(0),
        }
    }

    /// Whether any circuit of the channel may refuse an attempt.
    fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Relaxed) > 0
    }
}

impl Circuits {
    pub(super) fn new(breaker: Arc<Breaker>) -> Self {
        Self {
            breaker,
            of_methods: RwLock::default(),
        }
    }

    /// Whether it can be that an attempt is not let through: some circuit of the channel is open.
    pub(super) fn may_refuse(&self) -> bool {
        self.breaker.is_tripped()
    }

    /// Whether an attempt at `method` would be let through.
    pub(super) fn admits(&self, method: &str) -> bool {
        if !self.breaker.is_tripped() {
            return true;
        }
        let of_methods = self
            .of_methods
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let admits =
            |shared: &Arc<Shared>| shared.lock().admits(&self.breaker.policy, Instant::now());
        of_methods.circuits.get(method).is_none_or(admits)
    }

    /// Lets an attempt at `method` through, or not.
    pub(super) fn admit(&self, method: &str) -> Option<Admission> {
        let now = Instant::now();
        let Some(circuit) = self.of_method(method, now) else {
            return Some(Admission {
                circuit: None,
                round: 0,
            });
        };
        let round = circuit.lock().admit(&self.breaker.policy, now)?;
        Some(Admission {
            circuit: Some(circuit),
            round,
        })
    }

    fn of_method(&self, method: &str, now: Instant) -> Option<Arc<Shared>> {
        let of_methods = self
            .of_methods
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(circuit) = of_methods.circuits.get(method) {
            return Some(Arc::clone(circuit));
        }
        drop(of_methods);
        let mut of_methods = self
            .of_methods
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        of_methods.make_room(&self.breaker.policy, now);
        if of_methods.circuits.len() >= MAX_METHODS {
            return None;
        }
        let circuit = of_methods.circuits.entry(method.into()).or_insert_with(|| {
            Arc::new(Shared {
                breaker: Arc::clone(&self.breaker),
                circuit: Mutex::new(Circuit::new(now)),
            })
        });
        Some(Arc::clone(circuit))
    }
}

impl Methods {
    /// Drops circuits that say nothing, where there are too many, at most once per window.
    fn make_room(&mut self, policy: &CircuitBreaker, now: Instant) {
        let is_due = self
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept) >= policy.window);
        if self.circuits.len() >= MAX_METHODS && is_due {
            self.swept = Some(now);
            self.circuits
                .retain(|_, shared| !shared.lock().is_idle(policy, now));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, round: u64, end: End) {
        let mut circuit = self.lock();
        let was_closed = circuit.is_closed();
        circuit.ended(&self.breaker.policy, Instant::now(), round, end);
        let tripped = &self.breaker.tripped;
        match (was_closed, circuit.is_closed()) {
            (true, false) => drop(tripped.fetch_add(1, Ordering::Relaxed)),
            (false, true) => drop(tripped.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.lock().is_closed() {
            self.breaker.tripped.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Admission {
    pub(super) fn ended(mut self, code: Code) {
        if let Some(circuit) = self.circuit.take() {
            let end = match code {
                Code::Cancelled => End::Nothing,
                code if circuit.breaker.policy.failure_codes.contains(code) => End::Failure,
                _ => End::Success,
            };
            circuit.ended(self.round, end);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(circuit) = self.circuit.take() {
            circuit.ended(self.round, End::Nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuits() -> Circuits {
        Circuits::new(Arc::new(Breaker::new(CircuitBreaker {
            consecutive_failures: Some(1),
            ..CircuitBreaker::default()
        })))
    }

    fn fail(circuits: &Circuits, method: &str) {
        let admission = circuits.admit(method).expect("it is closed");
        admission.ended(Code::Unavailable);
    }

    fn count(circuits: &Circuits) -> usize {
        circuits.of_methods.read().unwrap().circuits.len()
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_circuits_than_the_most() {
        let circuits = circuits();
        for number in 0..10 * MAX_METHODS {
            let admission = circuits.admit(&format!("/test.Test/{number}"));
            admission.unwrap().ended(Code::Ok);
        }
        assert_eq!(count(&circuits), MAX_METHODS);
        let beyond = "/test.Test/Beyond";
        fail(&circuits, beyond);
        assert!(circuits.admits(beyond), "it has no circuit");
        // Those without a call for a window make room.
        tokio::time::advance(2 * circuits.breaker.policy.window).await;
        fail(&circuits, beyond);
        assert!(!circuits.admits(beyond));
        assert_eq!(count(&circuits), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn open_circuits_that_nobody_asks_make_room() {
        let circuits = circuits();
        for number in 0..MAX_METHODS {
            fail(&circuits, &format!("/test.Test/{number}"));
        }
        tokio::time::advance(std::time::Duration::from_secs(3600)).await;
        let beyond = "/test.Test/Beyond";
        fail(&circuits, beyond);
        assert!(
            !circuits.admits(beyond),
            "an hour later, {} circuits",
            count(&circuits)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn open_circuits_are_counted_until_they_close_or_go() {
        let circuits = circuits();
        let breaker = Arc::clone(&circuits.breaker);
        fail(&circuits, "/test.Test/A");
        fail(&circuits, "/test.Test/B");
        assert_eq!(breaker.tripped.load(Ordering::Relaxed), 2);
        tokio::time::advance(breaker.policy.open_for).await;
        circuits.admit("/test.Test/A").unwrap().ended(Code::Ok);
        assert_eq!(breaker.tripped.load(Ordering::Relaxed), 1);
        drop(circuits);
        assert!(!breaker.is_tripped());
    }

    #[tokio::test(start_paused = true)]
    async fn codes_that_are_no_failures_leave_it_closed() {
        let circuits = circuits();
        for code in [Code::Ok, Code::NotFound, Code::Cancelled, Code::Unknown] {
            circuits.admit("/test.Test/A").unwrap().ended(code);
        }
        assert!(!circuits.breaker.is_tripped());
    }
}
