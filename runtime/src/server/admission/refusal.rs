//! A call that is not admitted: why, and when it may come again.

use std::{fmt, time::Duration};

use http::HeaderValue;
use tonic::{Code, Status, metadata::MetadataValue};

use crate::{server::refusals::Limit, status};

/// gRFC A6's header.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The least and the most that a caller is told to stay away; the most is about as long as a call still wants its answer.
const MIN_PUSHBACK: Duration = Duration::from_millis(10);
const MAX_PUSHBACK: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// [`RateLimit`](super::RateLimit): there is no token.
    Rate,
    /// `max_concurrent_calls` are under way, and as many wait as may.
    TooManyCalls,
    /// The same of an [`AdaptiveLimit`](super::AdaptiveLimit).
    Overload,
    /// It has waited for as long as it may.
    WaitedTooLong,
    /// Its deadline passed before it had its turn, in the queue or on the runtime.
    DeadlinePassed,
}

impl Reason {
    /// Its name in spans and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::TooManyCalls => "too_many_calls",
            Self::Overload => "overload",
            Self::WaitedTooLong => "waited_too_long",
            Self::DeadlinePassed => "deadline_passed",
        }
    }

    /// The limit that refuses, by the name of its setting.
    pub(super) fn limit(self) -> Option<&'static str> {
        match self {
            Self::Rate => Some("rate_limit"),
            Self::TooManyCalls => Some("max_concurrent_calls"),
            Self::Overload => Some("adaptive_limit"),
            Self::WaitedTooLong => Some("max_queue_time"),
            Self::DeadlinePassed => None,
        }
    }

    /// Tells of a call of `path` that is refused, by a `limit` if it is one, who looks at the log in detail.
    pub(in crate::server) fn log(self, path: &str, limit: Option<&Limit>, status: &Status) {
        tracing::debug!(
            target: "wireloom",
            method = path.trim_start_matches('/'),
            code = status::code_name(status.code()),
            reason = self.name(),
            limit = limit.map(|limit| limit.setting),
            limit_of = limit.map(Limit::of),
            "a call was refused"
        );
    }

    fn code(self) -> Code {
        match self {
            Self::Rate => Code::ResourceExhausted,
            // Another server may have room.
            Self::TooManyCalls | Self::Overload | Self::WaitedTooLong => Code::Unavailable,
            Self::DeadlinePassed => Code::DeadlineExceeded,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Rate => "the limit on calls per second is reached",
            Self::TooManyCalls => "the limit on concurrent calls is reached",
            Self::Overload => "the server is overloaded",
            Self::WaitedTooLong => {
                "the server is overloaded: the call waited for its turn as long as it may"
            }
            Self::DeadlinePassed => "the call's deadline passed before it had its turn",
        }
    }
}

/// Whose limit it is that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Server,
    /// That of the method alone, or of its service.
    Method,
}

impl Whose {
    /// Of the check at `index`, where those of the method come first.
    pub(super) fn of(index: usize, own: usize) -> Self {
        match index < own {
            true => Self::Method,
            false => Self::Server,
        }
    }
}

/// The answer to a call that is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) whose: Whose,
    /// How long its caller should stay away.
    pub(super) pushback: Duration,
}

impl Refusal {
    /// The refusal of a call for which there will be room in about `wait`. Callers are told different times from there up to
    /// twice as long, so that they do not all come again at once.
    pub(super) fn after(reason: Reason, whose: Whose, wait: Duration) -> Self {
        let least = wait.clamp(MIN_PUSHBACK, MAX_PUSHBACK);
        Self {
            reason,
            whose,
            pushback: least.mul_f64(1.0 + fastrand::f64()),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let mut status = Status::new(self.reason.code(), self.reason.message());
        // Rounded up: there may be no token before.
        let milliseconds = self.pushback.as_micros().div_ceil(1000);
        let value = HeaderValue::from(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        if let Ok(value) = MetadataValue::try_from(value.as_bytes()) {
            status.metadata_mut().insert(RETRY_PUSHBACK, value);
        }
        status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushback(wait: Duration) -> u64 {
        let status = Refusal::after(Reason::Overload, Whose::Server, wait).status();
        let value = status.metadata().get(RETRY_PUSHBACK).unwrap();
        value.to_str().unwrap().parse().unwrap()
    }

    #[test]
    fn a_caller_is_told_to_stay_away_for_as_long_as_there_is_no_room_and_up_to_twice_that() {
        for _ in 0..1000 {
            assert!((200..=400).contains(&pushback(Duration::from_millis(200))));
        }
    }

    #[test]
    fn callers_are_told_different_times() {
        let first = pushback(Duration::from_millis(500));
        assert!((0..100).any(|_| pushback(Duration::from_millis(500)) != first));
    }

    #[test]
    fn no_caller_is_told_to_stay_away_for_long_or_not_at_all() {
        assert!((10..=20).contains(&pushback(Duration::ZERO)));
        assert!((1000..=2000).contains(&pushback(Duration::MAX)));
    }

    #[test]
    fn a_limit_of_a_method_is_not_told_as_one_of_the_server() {
        for reason in [Reason::Rate, Reason::TooManyCalls] {
            let refusal = Refusal::after(reason, Whose::Method, Duration::ZERO);
            let message = refusal.status().message().to_owned();
            assert!(!message.contains("server"), "{message}");
        }
    }

    #[test]
    fn a_quota_is_told_from_an_overload() {
        let code = |reason| {
            Refusal::after(reason, Whose::Server, Duration::ZERO)
                .status()
                .code()
        };
        assert_eq!(code(Reason::Rate), Code::ResourceExhausted);
        for reason in [
            Reason::TooManyCalls,
            Reason::Overload,
            Reason::WaitedTooLong,
        ] {
            assert_eq!(code(reason), Code::Unavailable);
        }
    }
}
