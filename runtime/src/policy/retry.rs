use std::time::Duration;

use tonic::Code;

use super::{InvalidPolicy, StatusCodes};

/// [gRFC A6]'s `retryPolicy`: a failed attempt is followed by another, after a delay.
///
/// The delay before retry n is `min(initial_backoff * backoff_multiplier^(n-1), max_backoff)`, times a random factor
/// between 0.8 and 1.2.
///
/// ```
/// use std::time::Duration;
/// use wireloom::{Code, RetryPolicy, StatusCodes};
///
/// let policy = RetryPolicy {
///     max_attempts: 3,
///     initial_backoff: Duration::from_millis(100),
///     max_backoff: Duration::from_secs(1),
///     backoff_multiplier: 2.0,
///     retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
/// };
/// assert_eq!(policy.validate(), Ok(()));
/// ```
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// The delay before the first retry; above zero.
    pub initial_backoff: Duration,
    /// The longest delay, before the random factor; above zero.
    pub max_backoff: Duration,
    /// What the delay grows by from retry to retry; above zero.
    pub backoff_multiplier: f64,
    /// The codes that are worth another attempt; at least one, and not OK.
    pub retryable_status_codes: StatusCodes,
}

impl RetryPolicy {
    /// Checks what the proposal demands of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub const fn validate(&self) -> Result<(), InvalidPolicy> {
        let reason = if self.max_attempts < 2 {
            "max_attempts must be at least 2: it counts the first attempt"
        } else if self.initial_backoff.is_zero() {
            "initial_backoff must be above zero"
        } else if self.max_backoff.is_zero() {
            "max_backoff must be above zero"
        } else if !(self.backoff_multiplier > 0.0 && self.backoff_multiplier.is_finite()) {
            "backoff_multiplier must be above zero and finite"
        } else if self.retryable_status_codes.is_empty() {
            "retryable_status_codes must not be empty"
        } else if self.retryable_status_codes.contains(Code::Ok) {
            "retryable_status_codes must not contain OK"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy(reason))
    }
}

/// The delays between attempts, in order.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: f64,
    max: f64,
    multiplier: f64,
}

impl Backoff {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        Self {
            next: policy.initial_backoff.as_secs_f64(),
            max: policy.max_backoff.as_secs_f64(),
            multiplier: policy.backoff_multiplier,
        }
    }

    /// The delays between attempts to reach what has to be there, by gRPC's [connection backoff].
    ///
    /// [connection backoff]: https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
    pub(crate) fn of_connections() -> Self {
        Self {
            next: 1.0,
            max: 120.0,
            multiplier: 1.6,
        }
    }

    /// The next delay, with the random factor `jitter` from 0 to 1 spread over [0.8, 1.2] after the cap.
    pub(crate) fn next_delay(&mut self, jitter: f64) -> Duration {
        let capped = self.next.min(self.max);
        self.next = (self.next * self.multiplier).min(f64::MAX);
        Duration::try_from_secs_f64(capped * (0.8 + 0.4 * jitter)).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(300),
        backoff_multiplier: 2.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };

    #[test]
    fn rule_16_delay_grows_by_the_multiplier_up_to_the_cap() {
        let mut backoff = Backoff::new(&POLICY);
        let delays: Vec<_> = (0..4)
            .map(|_| backoff.next_delay(0.5).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 300, 300]);
    }

    #[test]
    fn rule_16_backoff_is_jittered_after_the_cap() {
        let mut backoff = Backoff::new(&POLICY);
        backoff.next_delay(0.5);
        backoff.next_delay(0.5);
        assert_eq!(backoff.next_delay(0.0), Duration::from_millis(240));
        assert_eq!(backoff.next_delay(1.0), Duration::from_millis(360));
    }

    #[test]
    fn a_huge_policy_does_not_overflow() {
        let policy = RetryPolicy {
            backoff_multiplier: f64::MAX,
            max_backoff: Duration::MAX,
            ..POLICY
        };
        let mut backoff = Backoff::new(&policy);
        for _ in 0..5 {
            backoff.next_delay(1.0);
        }
        assert_eq!(backoff.next_delay(1.0), Duration::MAX);
    }

    #[test]
    fn each_field_is_checked() {
        let invalid = [
            RetryPolicy {
                max_attempts: 1,
                ..POLICY
            },
            RetryPolicy {
                initial_backoff: Duration::ZERO,
                ..POLICY
            },
            RetryPolicy {
                max_backoff: Duration::ZERO,
                ..POLICY
            },
            RetryPolicy {
                backoff_multiplier: 0.0,
                ..POLICY
            },
            RetryPolicy {
                backoff_multiplier: f64::NAN,
                ..POLICY
            },
            RetryPolicy {
                retryable_status_codes: StatusCodes::default(),
                ..POLICY
            },
            RetryPolicy {
                retryable_status_codes: StatusCodes::new(&[Code::Ok]),
                ..POLICY
            },
        ];
        for policy in invalid {
            assert!(policy.validate().is_err(), "{policy:?}");
        }
        assert_eq!(POLICY.validate(), Ok(()));
    }
}
