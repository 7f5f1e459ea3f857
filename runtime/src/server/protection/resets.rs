use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use super::budget::Budget;

/// How many calls a peer may cancel at once, beside none that is answered, at least.
const BURST: u32 = 1000;

/// What a call costs that is cancelled as soon as it is made, in that of one that is reset late.
const CANCELLED: i64 = 10;

/// How many calls a peer may reset before they are answered.
///
/// A stream that is reset does not count as open any more, so that `max_concurrent_streams` does not bound how many
/// calls are begun (rapid reset, CVE-2023-44487; with the server made to reset them, CVE-2025-8671). A client that
/// cancels has calls that are answered, too: each makes up for one that was not. A call that is reset by its deadline, or after
/// it was served for a while, counts as a tenth: a client that is honest cannot help it where the server is slow, be it that
/// its calls are answered elsewhere first (hedging), and one that is not may call any deadline its own.
#[derive(Debug)]
pub(super) struct Resets {
    burst: i64,
    per_second: i64,
    left: AtomicI64,
    refilled: Mutex<Instant>,
}

/// Why a call was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Cancelled,
    /// After it was served for a while.
    CancelledLate,
    DeadlinePassed,
}

impl Cause {
    fn cost(self) -> i64 {
        match self {
            Self::Cancelled => CANCELLED,
            Self::CancelledLate | Self::DeadlinePassed => 1,
        }
    }
}

impl Resets {
    pub(super) fn new(budget: Budget) -> Self {
        let burst = i64::from(budget.burst) * CANCELLED;
        Self {
            burst,
            per_second: i64::from(budget.per_second) * CANCELLED,
            left: AtomicI64::new(burst),
            refilled: Mutex::new(Instant::now()),
        }
    }

    /// The budget of a connection with so many streams at a time, unless it is set: all of them may be cancelled, and once again
    /// as many.
    pub(super) fn budget(max_concurrent_streams: u32) -> Budget {
        Budget::of(max_concurrent_streams.saturating_mul(2).max(BURST))
    }

    pub(super) fn earn(&self) {
        // As a rule nothing was spent, and the counter is not written to.
        if self.left.load(Ordering::Relaxed) < self.burst {
            self.left.fetch_add(CANCELLED, Ordering::Relaxed);
        }
    }

    /// Whether there was enough left.
    pub(super) fn spend(&self, cause: Cause) -> bool {
        let cost = cause.cost();
        if self.left.fetch_sub(cost, Ordering::Relaxed) >= cost {
            return true;
        }
        let mut refilled = self.refilled.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(*refilled).as_secs_f64() * self.per_second as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        let earned = (earned as i64).min(self.burst);
        if earned > 0 {
            *refilled = now;
        }
        self.left.fetch_add(earned, Ordering::Relaxed) + earned >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause::*, *};

    fn of_streams(max_concurrent: u32) -> Resets {
        Resets::new(Resets::budget(max_concurrent))
    }

    #[test]
    fn as_many_may_be_cancelled_as_the_budget_has() {
        let resets = Resets::new(Budget {
            burst: 3,
            per_second: 0,
        });
        assert!((0..3).all(|_| resets.spend(Cancelled)));
        assert!(!resets.spend(Cancelled));
    }

    #[test]
    fn a_thousand_calls_may_be_cancelled_at_once() {
        let resets = of_streams(100);
        assert!((0..1000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn as_many_as_are_open_may_be_cancelled_twice() {
        let resets = of_streams(5000);
        assert!((0..10_000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn what_is_reset_without_end_is_too_much() {
        let resets = of_streams(100);
        assert!(!(0..2000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn ten_times_as_many_may_end_by_their_deadline_and_no_more() {
        let resets = of_streams(100);
        assert!((0..10_000).all(|_| resets.spend(DeadlinePassed)));
        assert!(!(0..10_000).all(|_| resets.spend(DeadlinePassed)));
    }

    #[test]
    fn an_answered_call_makes_up_for_one_that_was_reset() {
        let resets = of_streams(100);
        for _ in 0..100_000 {
            assert!(resets.spend(Cancelled));
            resets.earn();
        }
    }
}
