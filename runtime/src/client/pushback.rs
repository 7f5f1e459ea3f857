//! What a server says of when to try again: `grpc-retry-pushback-ms` ([gRFC A6]).
//!
//! [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback

use std::time::Duration;

use tonic::Status;

const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What a failed attempt's status says of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    /// Nothing.
    None,
    /// The next attempt comes after exactly this long.
    After(Duration),
    /// There is no next attempt: the value is negative, unreadable or repeated.
    Stop,
}

impl Pushback {
    pub(crate) fn of(status: &Status) -> Self {
        let mut values = status.metadata().get_all(RETRY_PUSHBACK).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(_), Some(_)) => Self::Stop,
            (Some(value), None) => match value.to_str().ok().and_then(parse) {
                Some(milliseconds) => Self::After(Duration::from_millis(milliseconds)),
                None => Self::Stop,
            },
        }
    }
}

/// A non-negative 32-bit integer in decimal digits.
fn parse(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds: i32 = digits.then(|| value.parse().ok())??;
    u64::try_from(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushback(values: &[&str]) -> Pushback {
        let mut status = Status::unavailable("busy");
        for value in values {
            status
                .metadata_mut()
                .append(RETRY_PUSHBACK, value.parse().unwrap());
        }
        Pushback::of(&status)
    }

    #[test]
    fn rule_29_pushback_is_a_count_of_milliseconds() {
        assert_eq!(pushback(&[]), Pushback::None);
        assert_eq!(pushback(&["0"]), Pushback::After(Duration::ZERO));
        assert_eq!(
            pushback(&["2147483647"]),
            Pushback::After(Duration::from_millis(2_147_483_647))
        );
    }

    #[test]
    fn rule_30_negative_unreadable_or_repeated_values_mean_do_not_retry() {
        for values in [
            &["-1"][..],
            &["soon"],
            &[""],
            &["+1"],
            &["1.5"],
            &["2147483648"],
            &["1", "1"],
        ] {
            assert_eq!(pushback(values), Pushback::Stop, "{values:?}");
        }
    }
}
