//! Durations in proto JSON.

use std::time::Duration;

use serde_json::Value;

use super::json::Form;

/// The most seconds that proto's `Duration` holds: some 10,000 years.
const MOST_SECONDS: u64 = 315_576_000_000;

pub(super) const DURATION: Form<Duration> = Form {
    expected: "seconds with the suffix \"s\" and at most 9 digits after the point, such as \"1.5s\"",
    read: duration,
};

pub(super) const DURATION_ABOVE_ZERO: Form<Duration> = Form {
    expected: "above zero: seconds with the suffix \"s\" and at most 9 digits after the point, such as \"0.1s\"",
    read: |value| duration(value).filter(|duration| !duration.is_zero()),
};

fn duration(value: &Value) -> Option<Duration> {
    parse(value.as_str()?)
}

fn parse(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds = whole.parse().ok().filter(|s| *s <= MOST_SECONDS)?;
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_4_durations_are_seconds_with_at_most_9_fraction_digits() {
        let valid = [
            ("1s", Duration::from_secs(1)),
            ("0s", Duration::ZERO),
            ("007.5s", Duration::from_millis(7500)),
            ("0.100s", Duration::from_millis(100)),
            ("1.000000001s", Duration::new(1, 1)),
            ("315576000000s", Duration::from_secs(MOST_SECONDS)),
        ];
        for (text, duration) in valid {
            assert_eq!(parse(text), Some(duration), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1S",
            "1 s",
            " 1s",
            "1ms",
            "-1s",
            "+1s",
            ".5s",
            "1.s",
            "1.0000000001s",
            "1.5.5s",
            "1e3s",
            "315576000001s",
            "99999999999999999999s",
            "\u{661}s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
