use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::budget::Budget;

/// How many streams a peer may open at once that are not served, at least.
const BURST: u32 = 10_000;

/// The streams of a connection that were opened and not served: those beyond `max_concurrent_streams`, and those whose head is none
/// that can be read.
///
/// A client may open more than it may have until it has read the server's SETTINGS. One that goes on costs the server an answer to
/// each.
#[derive(Debug)]
pub(in crate::server) struct Unserved {
    opened: Arc<AtomicU64>,
    served: u64,
    /// Those of the past that count no longer.
    forgiven: u64,
    budget: Budget,
    looked: Instant,
}

impl Unserved {
    /// `opened` is the number of streams that the peer has opened.
    pub(super) fn new(opened: Arc<AtomicU64>, budget: Budget) -> Self {
        Self {
            opened,
            served: 0,
            forgiven: 0,
            budget,
            looked: Instant::now(),
        }
    }

    /// The budget of a connection with so many streams at a time, unless it is set.
    pub(super) fn budget(max_concurrent_streams: u32) -> Budget {
        Budget::of(max_concurrent_streams.saturating_mul(10).max(BURST))
    }

    pub(in crate::server) fn serve_one(&mut self) {
        self.served += 1;
    }

    /// Whether there are more than there may be, once all that has been read is served that will be.
    pub(in crate::server) fn are_too_many(&mut self) -> bool {
        let opened = self.opened.load(Ordering::Relaxed);
        let unserved = opened.saturating_sub(self.served + self.forgiven);
        let burst = u64::from(self.budget.burst);
        if unserved <= burst {
            return false;
        }
        let now = Instant::now();
        let seconds = now.duration_since(self.looked).as_secs_f64();
        self.looked = now;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates"
        )]
        let forgiven = (seconds * f64::from(self.budget.per_second)) as u64;
        let forgiven = forgiven.min(unserved);
        self.forgiven += forgiven;
        unserved - forgiven > burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unserved() -> (Arc<AtomicU64>, Unserved) {
        let opened = Arc::default();
        let budget = Unserved::budget(100);
        (Arc::clone(&opened), Unserved::new(opened, budget))
    }

    #[test]
    fn ten_thousand_may_be_refused_at_once() {
        let (opened, mut unserved) = unserved();
        opened.store(10_000, Ordering::Relaxed);
        assert!(!unserved.are_too_many());
    }

    #[test]
    fn what_is_refused_without_end_is_too_much() {
        let (opened, mut unserved) = unserved();
        opened.store(100_000, Ordering::Relaxed);
        assert!(unserved.are_too_many());
    }

    #[test]
    fn as_many_are_refused_as_the_budget_has() {
        let opened = Arc::<AtomicU64>::default();
        let budget = Budget {
            burst: 3,
            per_second: 0,
        };
        let mut unserved = Unserved::new(Arc::clone(&opened), budget);
        opened.store(3, Ordering::Relaxed);
        assert!(!unserved.are_too_many());
        opened.store(4, Ordering::Relaxed);
        assert!(unserved.are_too_many());
    }

    #[test]
    fn what_is_served_does_not_count() {
        let (opened, mut unserved) = unserved();
        opened.store(100_000, Ordering::Relaxed);
        (0..90_000).for_each(|_| unserved.serve_one());
        assert!(!unserved.are_too_many());
    }

    #[test]
    fn what_was_refused_long_ago_is_forgiven() {
        let (opened, mut unserved) = unserved();
        unserved.looked -= std::time::Duration::from_secs(5);
        opened.store(14_000, Ordering::Relaxed);
        assert!(!unserved.are_too_many());
        opened.store(20_000, Ordering::Relaxed);
        assert!(unserved.are_too_many());
    }
}
