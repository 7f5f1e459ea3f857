//! What a user says of what a server admits. Data and its rules only.

use std::time::Duration;

use crate::policy::InvalidPolicy;

/// How many calls are served at a time, and how many begin in a second.
///
/// The default has no limit at all. Those of a server are set by [`Server::limits`](crate::Server::limits), those of a method
/// or a service, which hold beside the server's, by [`Server::method_limits`](crate::Server::method_limits).
///
/// A call that is refused ends at once, with nothing of it decoded, and no interceptor or handler sees it: with
/// RESOURCE_EXHAUSTED over a rate, with UNAVAILABLE over a number of calls. Its status says when to try again
/// (`grpc-retry-pushback-ms`, [gRFC A6]).
///
/// ```
/// use wireloom::{Server, server::{AdaptiveLimit, Limits, RateLimit}};
///
/// let server = Server::builder()
///     .limits(Limits {
///         adaptive: Some(AdaptiveLimit::default()),
///         ..Limits::default()
///     })
///     .method_limits("shop.Orders/Export", Limits {
///         max_concurrent_calls: Some(4),
///         rate: Some(RateLimit { calls_per_second: 0.5, burst: 2 }),
///         ..Limits::default()
///     });
/// ```
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// The most calls under way; at least 1. A stream counts until it ends. The default is `None`: no limit.
    pub max_concurrent_calls: Option<usize>,
    /// A limit on calls under way that follows their latency. The default is `None`: no such limit.
    pub adaptive: Option<AdaptiveLimit>,
    /// Where calls wait that come while either of the two is reached.
    pub queue: Queue,
    /// The most calls that begin in a second. The default is `None`: no limit.
    pub rate: Option<RateLimit>,
}

/// Where calls wait for others to end, each within a time and its deadline.
///
/// The first that came goes first, until the queue has not been empty for `max_wait`: there are more calls then than can be
/// served, not just a burst of them, and the last that came goes first. In a queue that does not empty, the calls at its front
/// are those with the least time left: to serve them is to serve everybody late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The most calls that wait; zero lets none wait. The default is 100.
    pub max_calls: usize,
    /// The longest that a call waits before it is refused; zero lets none wait. The default is 50 milliseconds.
    pub max_wait: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_calls: 100,
            max_wait: Duration::from_millis(50),
        }
    }
}

/// How many calls may begin in a second: a bucket of tokens, of which each call takes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// How many tokens come in a second; above 0 and at most a billion.
    pub calls_per_second: f64,
    /// How many tokens the bucket holds, at first as well; at least 1.
    pub burst: u32,
}

/// A limit on calls under way that follows their latency, as a queue inside the server makes it longer.
///
/// In windows of at least 100 milliseconds and 10 calls, the geometric mean of their latencies is compared with the *usual*
/// one. Up to `tolerance` times the usual, the limit grows by its square root, if half of it was in use; beyond, it becomes
/// what was under way, less in proportion, by half at most.
///
/// The usual latency follows a faster window by 30 % of the difference, and a slower one within some 10 seconds, where nothing
/// speaks for a queue: less than half of the limit is in use, no more calls are under way than in the window before, and fewer
/// than a tenth were given up by their callers. When the limit has been reached for a while, or many were given up (a second
/// and 100 times the usual latency at first, up to 30 seconds as the result stays the same), it is quartered until some ten
/// calls have ended, whose latency is the usual one from then on: the usual latency of a server that is overloaded all the time
/// would grow with the overload otherwise, and that of a server that has become slower would be out of date.
///
/// Latency is that of calls with one request and one response, from when they are admitted, without the time that their
/// request takes to come in. Those that end with an error count where they took longer than usual: an error is often quick. A
/// call with a stream leaves the limit when it reaches its handler: how long it goes on says nothing of the server. Calls of
/// services that tonic generated are limited and not measured.
///
/// The models are the gradient of [Netflix's concurrency-limits] and [Envoy's adaptive concurrency]. It is off by default,
/// and not for every server: one method whose latency is up to its callers (long polling) makes the latency of all unsteady.
/// Such a method can be [left out](crate::Server::exempt_from_limits).
///
/// [Netflix's concurrency-limits]: https://github.com/Netflix/concurrency-limits
/// [Envoy's adaptive concurrency]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveLimit {
    /// The limit before anything is known; within the two below. The default is 64.
    pub initial: usize,
    /// The least that it becomes; at least 1. The default is 8.
    pub min: usize,
    /// The most that it becomes; at least `min`. The default is 10,000.
    pub max: usize,
    /// How many times the usual latency is still good; above 1. The default is 2.
    pub tolerance: f64,
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self {
            initial: 64,
            min: 8,
            max: 10_000,
            tolerance: 2.0,
        }
    }
}

impl Limits {
    /// Checks what must hold of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        if self.max_concurrent_calls == Some(0) {
            return Err(InvalidPolicy::new(
                "max_concurrent_calls must be at least 1",
            ));
        }
        self.adaptive
            .as_ref()
            .map_or(Ok(()), AdaptiveLimit::validate)?;
        self.rate.as_ref().map_or(Ok(()), RateLimit::validate)
    }
}

impl AdaptiveLimit {
    fn validate(&self) -> Result<(), InvalidPolicy> {
        let problem = if self.min == 0 {
            "min must be at least 1"
        } else if self.max < self.min {
            "max must not be less than min"
        } else if !(self.min..=self.max).contains(&self.initial) {
            "initial must be within min and max"
        } else if !(self.tolerance > 1.0 && self.tolerance.is_finite()) {
            "tolerance must be above 1"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy::new(problem))
    }
}

impl RateLimit {
    fn validate(&self) -> Result<(), InvalidPolicy> {
        let problem = if !(self.calls_per_second > 0.0 && self.calls_per_second <= 1e9) {
            "calls_per_second must be above 0 and at most a billion"
        } else if self.burst == 0 {
            "burst must be at least 1"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(limits: Limits) -> Option<&'static str> {
        limits.validate().err().map(InvalidPolicy::reason)
    }

    fn rate(calls_per_second: f64, burst: u32) -> Limits {
        Limits {
            rate: Some(RateLimit {
                calls_per_second,
                burst,
            }),
            ..Limits::default()
        }
    }

    fn adaptive(initial: usize, min: usize, max: usize, tolerance: f64) -> Limits {
        Limits {
            adaptive: Some(AdaptiveLimit {
                initial,
                min,
                max,
                tolerance,
            }),
            ..Limits::default()
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(problem(Limits::default()), None);
        let adaptive = Limits {
            adaptive: Some(AdaptiveLimit::default()),
            ..Limits::default()
        };
        assert_eq!(problem(adaptive), None);
    }

    #[test]
    fn what_lets_no_call_through_is_invalid() {
        let none = Limits {
            max_concurrent_calls: Some(0),
            ..Limits::default()
        };
        assert_eq!(
            problem(none),
            Some("max_concurrent_calls must be at least 1")
        );
        for calls_per_second in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(problem(rate(calls_per_second, 1)).is_some());
        }
        assert_eq!(problem(rate(1.0, 0)), Some("burst must be at least 1"));
        assert_eq!(
            problem(adaptive(1, 0, 1, 2.0)),
            Some("min must be at least 1")
        );
    }

    #[test]
    fn the_bounds_of_an_adaptive_limit_hold_its_initial_value() {
        assert!(problem(adaptive(5, 10, 20, 2.0)).is_some());
        assert!(problem(adaptive(30, 10, 20, 2.0)).is_some());
        assert_eq!(
            problem(adaptive(10, 10, 9, 2.0)),
            Some("max must not be less than min")
        );
        assert_eq!(
            problem(adaptive(10, 10, 10, 1.0)),
            Some("tolerance must be above 1")
        );
    }
}
