//! The instant by which a call must have ended, and its form on the wire.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// What is further away than the clock can say is clamped to: thirty years.
pub(crate) const FAR_FUTURE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The instant by which a whole call must have ended: body and trailers, on both sides, all attempts.
///
/// Callers speak of timeouts (durations); a timeout becomes a deadline as soon as it is known, so that waiting
/// anywhere uses it up. The clock is tokio's, which tests may pause.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use wireloom::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(2));
/// assert!(deadline.remaining() <= Duration::from_secs(2));
/// assert!(!deadline.is_expired());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(timeout.min(FAR_FUTURE)).unwrap_or(now))
    }

    /// The deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time left; zero once expired.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn is_expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of two deadlines, where none is later than any.
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The header that carries a deadline from hop to hop, as the time left.
pub(crate) const GRPC_TIMEOUT: http::HeaderName = http::HeaderName::from_static("grpc-timeout");

/// What `grpc-timeout` may count in, finest first.
const UNITS: [(u128, u8); 6] = [
    (1, b'n'),
    (1_000, b'u'),
    (1_000_000, b'm'),
    (1_000_000_000, b'S'),
    (60 * 1_000_000_000, b'M'),
    (3600 * 1_000_000_000, b'H'),
];

const MAX_DIGITS_VALUE: u128 = 99_999_999;

/// Writes `timeout` in the finest unit that needs at most eight digits, rounded up.
pub(crate) fn encode_timeout(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let (value, unit) = UNITS
        .iter()
        .map(|(nanos_per_unit, unit)| (nanos.div_ceil(*nanos_per_unit), *unit))
        .find(|(value, _)| *value <= MAX_DIGITS_VALUE)
        .unwrap_or((MAX_DIGITS_VALUE, b'H'));
    let mut header = HeaderValue::try_from(format!("{value}{}", char::from(unit)))
        .expect("digits and a letter are a header value");
    // Few calls have the same: HTTP/2's table of headers is for those that come again.
    header.set_sensitive(true);
    header
}

/// Reads a `grpc-timeout`.
///
/// # Errors
///
/// Says what the value must look like: 1 to 8 digits and one unit of H, M, S, m, u, n.
pub(crate) fn decode_timeout(value: &[u8]) -> Result<Duration, String> {
    let invalid = |reason: &str| {
        Err(format!(
            "malformed grpc-timeout {:?}: {reason}; it must be 1 to 8 digits and a unit (H, M, S, m, u or n)",
            String::from_utf8_lossy(value)
        ))
    };
    let Some((unit, digits)) = value.split_last() else {
        return invalid("it is empty");
    };
    let Some((nanos_per_unit, _)) = UNITS.iter().find(|(_, u)| u == unit) else {
        return invalid("its unit is unknown");
    };
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return invalid("its value is not 1 to 8 digits");
    }
    let value = digits
        .iter()
        .fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    let nanos = (value * nanos_per_unit).min(FAR_FUTURE.as_nanos());
    Ok(Duration::from_nanos(
        u64::try_from(nanos).expect("thirty years of nanoseconds fit in 64 bits"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_46_the_finest_unit_that_fits_is_used_rounded_up() {
        let cases = [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(123_456_789), "123457u"),
            (Duration::from_secs(1), "1000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666667M"),
            (Duration::MAX, "99999999H"),
        ];
        for (timeout, wire) in cases {
            assert_eq!(encode_timeout(timeout), wire);
        }
    }

    #[test]
    fn rule_48_malformed_values_are_rejected_with_a_reason() {
        for value in [
            "",
            "S",
            "1",
            "-1S",
            "+1S",
            "123456789n",
            "1s",
            "1.5S",
            " 1S",
            "1S ",
        ] {
            let error = decode_timeout(value.as_bytes()).unwrap_err();
            assert!(
                error.contains("1 to 8 digits and a unit"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn rule_48_zero_is_valid_and_a_huge_hour_count_clamps() {
        assert_eq!(decode_timeout(b"0S"), Ok(Duration::ZERO));
        assert_eq!(decode_timeout(b"99999999H"), Ok(FAR_FUTURE));
        assert_eq!(decode_timeout(b"1500m"), Ok(Duration::from_millis(1500)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_used_up_by_waiting() {
        let deadline = Deadline::after(Duration::from_secs(2));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(deadline.remaining(), Duration::from_millis(1500));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(deadline.is_expired());
    }

    #[tokio::test]
    async fn the_longest_timeout_does_not_overflow() {
        assert!(!Deadline::after(Duration::MAX).is_expired());
    }
}
