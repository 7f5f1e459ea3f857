use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

/// How many calls a peer may cancel at once, beside none that is answered.
const BURST: u32 = 1000;

/// Which part of them it may cancel once more each second.
const SECONDS: i64 = 10;

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
    /// Of a connection with so many streams at a time: all of them may be cancelled, and once again as many.
    pub(super) fn new(max_concurrent_streams: u32) -> Self {
        let calls = max_concurrent_streams.saturating_mul(2).max(BURST);
        let burst = i64::from(calls) * CANCELLED;
        Self {
            burst,
            left: AtomicI64::new(burst),
            refilled: Mutex::new(Instant::now()),
        }
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
        let per_second = self.burst / SECONDS;
        let earned = now.duration_since(*refilled).as_secs_f64() * per_second as f64;
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

    #[test]
    fn a_thousand_calls_may_be_cancelled_at_once() {
        let resets = Resets::new(100);
        assert!((0..1000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn as_many_as_are_open_may_be_cancelled_twice() {
        let resets = Resets::new(5000);
        assert!((0..10_000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn what_is_reset_without_end_is_too_much() {
        let resets = Resets::new(100);
        assert!(!(0..2000).all(|_| resets.spend(Cancelled)));
    }

    #[test]
    fn ten_times_as_many_may_end_by_their_deadline_and_no_more() {
        let resets = Resets::new(100);
        assert!((0..10_000).all(|_| resets.spend(DeadlinePassed)));
        assert!(!(0..10_000).all(|_| resets.spend(DeadlinePassed)));
    }

    #[test]
    fn an_answered_call_makes_up_for_one_that_was_reset() {
        let resets = Resets::new(100);
        for _ in 0..100_000 {
            assert!(resets.spend(Cancelled));
            resets.earn();
        }
    }
}
