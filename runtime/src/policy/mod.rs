//! Policies: what a call does when an attempt fails or is slow. Data and arithmetic only; the client acts on them.

mod circuit_breaker;
mod hedging;
mod load_balancing;
mod outlier_detection;
mod retry;
mod ring_hash;
mod slow_start;
mod status_codes;
mod throttling;

pub use self::circuit_breaker::CircuitBreaker;
pub use self::hedging::HedgingPolicy;
pub use self::load_balancing::LoadBalancing;
pub use self::outlier_detection::{
    FailurePercentageEjection, OutlierDetection, SuccessRateEjection,
};
pub(crate) use self::retry::Backoff;
pub use self::retry::RetryPolicy;
pub use self::ring_hash::RingHash;
pub(crate) use self::ring_hash::{is_ascii_key, is_ring_size};
pub use self::slow_start::SlowStart;
pub use self::status_codes::StatusCodes;
pub use self::throttling::RetryThrottling;

/// What a method does after an attempt failed, or before it answers: at most one of the two ([gRFC A6]).
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum AttemptPolicy {
    /// Transparent retries only: an attempt that the server never saw is sent again.
    #[default]
    Single,
    /// Try again after a failure.
    Retry(RetryPolicy),
    /// Try again before there is a failure.
    Hedging(HedgingPolicy),
}

/// What a policy needs to hold, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPolicy(&'static str);

impl InvalidPolicy {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self(reason)
    }

    pub(crate) const fn reason(self) -> &'static str {
        self.0
    }
}

impl std::fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidPolicy {}
