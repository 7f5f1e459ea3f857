//! A bucket of tokens, as one number: when it is full again (the [generic cell rate algorithm]).
//!
//! A crate (`governor`) does the same with keys and clocks of its own, and brings ten others along; what is needed here is a
//! number that is compared and swapped, on a clock that tests can pause.
//!
//! [generic cell rate algorithm]: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::limits::RateLimit;

/// Tokens that come at a rate, up to a number.
#[derive(Debug)]
pub(super) struct Bucket {
    made: Instant,
    /// Nanoseconds until the next token.
    per_token: u64,
    /// Nanoseconds until all tokens but one have come.
    capacity: u64,
    /// When all tokens will have come, in nanoseconds after it was made.
    full_at: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(limit: RateLimit) -> Self {
        // Above 0 and at most 1e9 (`RateLimit::validate`); a rate so low that this saturates has no second token.
        let per_token = (1e9 / limit.calls_per_second) as u64;
        Self {
            made: Instant::now(),
            per_token,
            capacity: per_token.saturating_mul(u64::from(limit.burst) - 1),
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// How long it will be until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let elapsed = self.made.elapsed().as_nanos();
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let missing = |full_at: u64| full_at.saturating_sub(now);
        let take = |full_at: u64| {
            (missing(full_at) <= self.capacity)
                .then(|| full_at.max(now).saturating_add(self.per_token))
        };
        match self.full_at.fetch_update(Relaxed, Relaxed, take) {
            Ok(_) => Ok(()),
            Err(full_at) => Err(Duration::from_nanos(missing(full_at) - self.capacity)),
        }
    }

    /// Gives back a token that was taken.
    pub(super) fn give_back(&self) {
        let given = |full_at: u64| Some(full_at.saturating_sub(self.per_token));
        // It always is.
        let _ = self.full_at.fetch_update(Relaxed, Relaxed, given);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    fn bucket(calls_per_second: f64, burst: u32) -> Bucket {
        Bucket::new(RateLimit {
            calls_per_second,
            burst,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_the_rate() {
        let bucket = bucket(10.0, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(), Ok(()));
        }
        assert_eq!(bucket.take(), Err(Duration::from_millis(100)));
        advance(Duration::from_millis(60)).await;
        assert_eq!(bucket.take(), Err(Duration::from_millis(40)));
        advance(Duration::from_millis(40)).await;
        assert_eq!(bucket.take(), Ok(()));
        assert!(bucket.take().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_bucket_holds_no_more_than_its_burst() {
        let bucket = bucket(1000.0, 2);
        advance(Duration::from_secs(3600)).await;
        assert_eq!([(); 3].map(|()| bucket.take().is_ok()), [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_takes_no_token() {
        let bucket = bucket(1.0, 1);
        assert_eq!(bucket.take(), Ok(()));
        for _ in 0..100 {
            assert_eq!(bucket.take(), Err(Duration::from_secs(1)));
        }
        advance(Duration::from_secs(1)).await;
        assert_eq!(bucket.take(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_given_back_is_there_for_another_and_no_more_than_that() {
        let bucket = bucket(1.0, 2);
        for _ in 0..100 {
            assert_eq!(bucket.take(), Ok(()));
            bucket.give_back();
        }
        assert_eq!([(); 3].map(|()| bucket.take().is_ok()), [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_rate_lets_its_burst_through() {
        let bucket = bucket(f64::MIN_POSITIVE, 1);
        assert_eq!(bucket.take(), Ok(()));
        assert!(bucket.take().is_err());
    }

    proptest! {
        #[test]
        fn no_more_get_through_than_the_burst_and_the_rate_allow(
            calls_per_second in 0.5..10_000.0f64,
            burst in 1..50u32,
            pauses in prop::collection::vec(0..200_000u64, 1..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let bucket = bucket(calls_per_second, burst);
                let (mut taken, mut passed) = (0.0, Duration::ZERO);
                for pause in pauses.into_iter().map(Duration::from_micros) {
                    advance(pause).await;
                    passed += pause;
                    match bucket.take() {
                        Ok(()) => taken += 1.0,
                        Err(wait) => prop_assert!(wait.as_secs_f64() <= 1.0 / calls_per_second),
                    }
                    // A token is rounded down to nanoseconds, and the clock to milliseconds.
                    let slack = 0.001 * calls_per_second + 0.01;
                    let most = f64::from(burst) + passed.as_secs_f64() * calls_per_second + slack;
                    prop_assert!(taken <= most, "{taken} of {most}");
                }
                Ok(())
            })?;
        }
    }
}
