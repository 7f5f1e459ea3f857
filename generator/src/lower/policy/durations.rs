//! Durations: from proto JSON, to proto JSON and to Rust.

use crate::model::ProtoDuration;

/// A duration in nanoseconds: all that proto's `Duration` can say fits.
pub(super) type Nanos = u128;

const NANOS_PER_SECOND: Nanos = 1_000_000_000;
/// The most seconds that proto's `Duration` holds: some 10,000 years.
const MOST_SECONDS: Nanos = 315_576_000_000;

/// Parses proto JSON's form of a duration; the error says what must hold.
pub(super) fn parse(text: &str) -> Result<Nanos, String> {
    let number = text
        .strip_suffix('s')
        .ok_or("must be seconds with the suffix \"s\", such as \"1.5s\"")?;
    if number.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(
            "must be a decimal number of seconds with the suffix \"s\", such as \"1.5s\""
                .to_owned(),
        );
    }
    if fraction.len() > 9 {
        return Err("must have at most 9 digits after the point".to_owned());
    }
    let seconds = whole
        .parse::<Nanos>()
        .ok()
        .filter(|seconds| *seconds <= MOST_SECONDS);
    let seconds = seconds.ok_or(format!("must be at most {MOST_SECONDS} seconds"))?;
    let nanos = format!("{fraction:0<9}")
        .parse::<Nanos>()
        .map_err(|error| error.to_string())?;
    Ok(seconds * NANOS_PER_SECOND + nanos)
}

/// What a text that is no duration may mean, in proto JSON: one with another unit, or with none.
pub(super) fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let nanos = match unit.trim_start() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "" | "s" | "sec" | "seconds" => NANOS_PER_SECOND,
        "m" | "min" | "minutes" => 60 * NANOS_PER_SECOND,
        "h" | "hours" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    };
    let number = parse(&format!("{number}s")).ok()?;
    let proto = proto_duration(number * nanos / NANOS_PER_SECOND).proto;
    parse(&proto).ok().map(|_| proto)
}

/// A duration of the generator's own.
pub(super) fn from_millis(millis: u32) -> ProtoDuration {
    proto_duration(Nanos::from(millis) * 1_000_000)
}

/// Spells a duration in proto JSON and as a Rust expression, in the largest unit that has no fraction.
pub(super) fn proto_duration(duration: Nanos) -> ProtoDuration {
    let (seconds, nanos) = (duration / NANOS_PER_SECOND, duration % NANOS_PER_SECOND);
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    let proto = match fraction {
        "" => format!("{seconds}s"),
        fraction => format!("{seconds}.{fraction}s"),
    };
    let units = [
        ("from_secs", NANOS_PER_SECOND),
        ("from_millis", 1_000_000),
        ("from_micros", 1_000),
        ("from_nanos", 1),
    ];
    let whole = units
        .iter()
        .find(|(_, unit)| duration.is_multiple_of(*unit));
    // The constructors take 64 bits, which nanoseconds may exceed.
    let fits = whole.filter(|(_, unit)| duration / unit <= Nanos::from(u64::MAX));
    let rust = match fits {
        Some((constructor, unit)) => format!(
            "::core::time::Duration::{constructor}({})",
            grouped(duration / unit)
        ),
        None => format!(
            "::core::time::Duration::new({}, {})",
            grouped(seconds),
            grouped(nanos)
        ),
    };
    ProtoDuration { proto, rust }
}

/// A number with underscores between thousands, as Rust is written by hand.
pub(super) fn grouped(number: Nanos) -> String {
    let digits = number.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let mut grouped = digits[..first].to_owned();
    for start in (first..digits.len()).step_by(3) {
        grouped.push('_');
        grouped.push_str(&digits[start..start + 3]);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> (String, String) {
        let duration = proto_duration(parse(text).unwrap());
        (
            duration.proto,
            duration.rust.replace("::core::time::Duration::", ""),
        )
    }

    fn expect(text: &str, proto: &str, rust: &str) {
        assert_eq!(spelled(text), (proto.to_owned(), rust.to_owned()));
    }

    #[test]
    fn a_duration_is_spelled_in_its_largest_whole_unit() {
        expect("2s", "2s", "from_secs(2)");
        expect("1.5s", "1.5s", "from_millis(1_500)");
        expect("0.000250s", "0.00025s", "from_micros(250)");
        expect("1.000000001s", "1.000000001s", "from_nanos(1_000_000_001)");
        expect("0s", "0s", "from_secs(0)");
    }

    #[test]
    fn a_duration_beyond_64_bits_of_nanoseconds_is_spelled_in_two_parts() {
        expect(
            "315576000000.000000001s",
            "315576000000.000000001s",
            "new(315_576_000_000, 1)",
        );
    }

    #[test]
    fn a_duration_needs_its_suffix() {
        assert!(parse("2").unwrap_err().contains("suffix"));
        assert!(parse("2m").unwrap_err().contains("suffix"));
        assert!(parse("").unwrap_err().contains("suffix"));
    }

    #[test]
    fn a_duration_is_decimal_digits() {
        for text in ["s", ".5s", "1.s", "1e3s", "+1s", "1 s", "1.2.3s", "2ms"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_units_and_none_are_understood_and_nothing_else() {
        for (text, meant) in [
            ("200ms", "0.2s"),
            ("1.5 ms", "0.0015s"),
            ("30", "30s"),
            ("5 seconds", "5s"),
            ("2m", "120s"),
            ("1h", "3600s"),
            ("250µs", "0.00025s"),
        ] {
            assert_eq!(super::meant(text).as_deref(), Some(meant), "{text}");
        }
        for text in [
            "",
            "soon",
            "ms",
            "-1s",
            "1.2.3ms",
            "5 apples",
            "99999999999h",
        ] {
            assert_eq!(super::meant(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_has_at_most_nine_digits_after_the_point() {
        assert!(parse("0.123456789s").is_ok());
        assert!(parse("0.1234567890s").unwrap_err().contains("at most 9"));
    }

    #[test]
    fn a_duration_is_not_negative() {
        assert_eq!(parse("-1s").unwrap_err(), "must not be negative");
    }

    #[test]
    fn a_duration_is_no_longer_than_protos() {
        assert!(parse("315576000001s").is_err());
        assert!(parse("99999999999999999999999999999999999999999s").is_err());
    }
}
