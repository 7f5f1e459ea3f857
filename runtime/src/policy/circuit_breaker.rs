use std::time::Duration;

use tonic::Code;

use super::{InvalidPolicy, StatusCodes};

/// Sends no more calls of a method to an address where too many of them fail, until some that are let through succeed.
///
/// There is a circuit per method and address. It is *closed* at first: attempts go through, and are counted. It *opens* once
/// `failure_ratio` of at least `minimum_calls` within the `window` have failed, or `consecutive_failures` in a row: then
/// the method's attempts go to the other addresses, and where all are open, they fail at once with UNAVAILABLE, are not
/// retried, and do not wait for ready. After `open_for` it is *half-open*: `half_open_probes` attempts go through. Once all
/// have succeeded it closes; as soon as one fails, or is still under way after as long again, it is as before.
///
/// Attempts that end with CANCELLED are not counted. The names and the states are those of [resilience4j], the defaults
/// those of [Hystrix], save for the codes, which are those of [go-zero].
///
/// ```
/// use wireloom::{Channel, CircuitBreaker, LoadBalancing};
///
/// # fn example() -> Result<(), wireloom::Status> {
/// let channel = Channel::builder("dns:///greeters:50051")
///     .load_balancing(LoadBalancing::RoundRobin)
///     .circuit_breaker(CircuitBreaker {
///         consecutive_failures: Some(5),
///         ..CircuitBreaker::default()
///     })
///     .lazy()?;
/// # Ok(())
/// # }
/// ```
///
/// [resilience4j]: https://resilience4j.readme.io/docs/circuitbreaker
/// [Hystrix]: https://github.com/Netflix/Hystrix/wiki/Configuration
/// [go-zero]: https://github.com/zeromicro/go-zero/blob/master/zrpc/internal/codes/accept.go
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// The share of failures that opens the circuit; above 0 and at most 1. The default is 0.5.
    pub failure_ratio: f64,
    /// How many attempts the window must hold before the ratio counts; at least 1. The default is 20.
    pub minimum_calls: u32,
    /// The time over which the ratio is taken, which moves on in tenths; above zero. The default is 10 seconds.
    pub window: Duration,
    /// So many failures in a row open the circuit, too, however few attempts there were; at least 1. The default is `None`:
    /// none do.
    pub consecutive_failures: Option<u32>,
    /// How long it stays open; above zero. The default is 5 seconds.
    pub open_for: Duration,
    /// How many attempts a half-open circuit lets through, all of which must succeed; at least 1, which is the default.
    pub half_open_probes: u32,
    /// The codes that are failures; with any other the server has done its part. The default is DEADLINE_EXCEEDED,
    /// RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS.
    pub failure_codes: StatusCodes,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failure_ratio: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(10),
            consecutive_failures: None,
            open_for: Duration::from_secs(5),
            half_open_probes: 1,
            failure_codes: StatusCodes::new(&[
                Code::DeadlineExceeded,
                Code::ResourceExhausted,
                Code::Unimplemented,
                Code::Internal,
                Code::Unavailable,
                Code::DataLoss,
            ]),
        }
    }
}

impl CircuitBreaker {
    /// Checks what must hold of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        let problem = if !(self.failure_ratio > 0.0 && self.failure_ratio <= 1.0) {
            "failure_ratio must be above 0 and at most 1"
        } else if self.minimum_calls == 0 {
            "minimum_calls must be at least 1"
        } else if self.window.is_zero() {
            "window must be above zero"
        } else if self.consecutive_failures == Some(0) {
            "consecutive_failures must be at least 1"
        } else if self.open_for.is_zero() {
            "open_for must be above zero"
        } else if self.half_open_probes == 0 {
            "half_open_probes must be at least 1"
        } else if self.failure_codes.contains(Code::Ok) {
            "failure_codes must not contain OK"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy(problem))
    }
}
