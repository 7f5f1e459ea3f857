//! One token bucket per server name: when many attempts fail, no more are made than callers ask for ([gRFC A6]).
//!
//! [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs

use std::sync::atomic::{AtomicU32, Ordering};

/// A failed attempt's cost, in thousandths.
const TOKEN: u32 = 1000;

/// Counts tokens in thousandths, so that a ratio of three decimals is exact.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    tokens: AtomicU32,
    max: u32,
    ratio: u32,
}

impl TokenBucket {
    /// A full bucket of `max` thousandths, to which each successful call adds `ratio` thousandths.
    pub(crate) fn new(max: u32, ratio: u32) -> Self {
        Self {
            tokens: AtomicU32::new(max),
            max,
            ratio,
        }
    }

    /// Takes a failed attempt's token.
    pub(crate) fn record_failure(&self) {
        self.update(|tokens| tokens.saturating_sub(TOKEN));
    }

    /// Gives back a successful call's share.
    pub(crate) fn record_success(&self) {
        self.update(|tokens| tokens.saturating_add(self.ratio).min(self.max));
    }

    /// Whether more than half of the tokens are there, so that retries and hedges may be sent.
    pub(crate) fn allows_more(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) > self.max / 2
    }

    fn update(&self, next: impl Fn(u32) -> u32) {
        let mut tokens = self.tokens.load(Ordering::Relaxed);
        while let Err(current) = self.tokens.compare_exchange_weak(
            tokens,
            next(tokens),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            tokens = current;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_33_the_bucket_starts_full_and_stays_within_its_bounds() {
        let bucket = TokenBucket::new(2000, 1500);
        bucket.record_success();
        assert_eq!(bucket.tokens.load(Ordering::Relaxed), 2000);
        for _ in 0..5 {
            bucket.record_failure();
        }
        assert_eq!(bucket.tokens.load(Ordering::Relaxed), 0);
        bucket.record_success();
        assert_eq!(bucket.tokens.load(Ordering::Relaxed), 1500);
    }

    #[test]
    fn rule_35_at_half_the_tokens_no_more_is_allowed() {
        let bucket = TokenBucket::new(4000, 1);
        bucket.record_failure();
        assert!(bucket.allows_more());
        bucket.record_failure();
        assert!(!bucket.allows_more());
        bucket.record_success();
        assert!(bucket.allows_more());
    }
}
