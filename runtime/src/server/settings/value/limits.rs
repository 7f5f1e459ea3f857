//! Limits of several parts.

use std::str::FromStr;

use super::{UNLIMITED, Value};
use crate::server::{AdaptiveLimit, Budget, Limits, RateLimit};

impl Value for Option<RateLimit> {
    const EXPECTED: &'static str = "calls per second such as \"1000/s\", with a burst such as \"1000/s burst 50\", or \"unlimited\"";

    /// Without a burst, it is the calls of one second.
    fn read(text: &str) -> Option<Self> {
        if text == UNLIMITED {
            return Some(None);
        }
        let (calls_per_second, burst) = per_second::<f64>(text)?;
        let burst = burst.unwrap_or(calls_per_second.ceil() as u32);
        let rate = RateLimit {
            calls_per_second,
            burst,
        };
        let limits = Limits {
            rate: Some(rate),
            ..Limits::default()
        };
        limits.validate().is_ok().then_some(Some(rate))
    }

    fn show(&self) -> String {
        self.map_or(UNLIMITED.to_owned(), |rate| {
            format!("{}/s burst {}", rate.calls_per_second, rate.burst)
        })
    }
}

/// Of `"200/s burst 1000"`, both numbers; the second need not be there.
fn per_second<N: FromStr>(text: &str) -> Option<(N, Option<u32>)> {
    let (number, burst) = text.split_once("/s")?;
    let burst = match burst.trim() {
        "" => None,
        burst => Some(burst.strip_prefix("burst ")?.trim().parse().ok()?),
    };
    Some((number.parse().ok()?, burst))
}

impl Value for Budget {
    const EXPECTED: &'static str =
        "so many a second and at once, such as \"200/s burst 1000\", or \"unlimited\"";
    const UNLIMITED_IN_CODE: Option<&'static str> = Some("Budget::UNLIMITED");

    /// Without a burst, it is what there is in one second.
    fn read(text: &str) -> Option<Self> {
        if text == UNLIMITED {
            return Some(Self::UNLIMITED);
        }
        let (per_second, burst) = per_second(text)?;
        let burst = burst.unwrap_or(per_second);
        Some(Self { burst, per_second })
    }

    fn show(&self) -> String {
        match *self {
            Self::UNLIMITED => UNLIMITED.to_owned(),
            Self { burst, per_second } => format!("{per_second}/s burst {burst}"),
        }
    }
}

/// By the streams that a client may have at a time.
const BY_STREAMS: &str = "by-streams";

impl Value for Option<Budget> {
    const EXPECTED: &'static str = "so many a second and at once, such as \"200/s burst 1000\", \"by-streams\" for what `max_concurrent_streams` makes of it, or \
         \"unlimited\"";

    fn read(text: &str) -> Option<Self> {
        match text {
            BY_STREAMS => Some(None),
            budget => Budget::read(budget).map(Some),
        }
    }

    fn show(&self) -> String {
        self.map_or(BY_STREAMS.to_owned(), |budget| budget.show())
    }
}

impl Value for Option<AdaptiveLimit> {
    const EXPECTED: &'static str = "\"off\", \"on\", or the least and the most that the limit becomes, such as \"8..10000\"; and behind the latter two \
         where it begins, within them, and how many times the usual latency is good, above 1, such as \
         \"8..10000 initial 64 tolerance 2\"";

    /// What is not said is as by default.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut limit = match words.next()? {
            "off" => return words.next().is_none().then_some(None),
            "on" => AdaptiveLimit::default(),
            range => within(range)?,
        };
        let mut words = words.peekable();
        if words.next_if_eq(&"initial").is_some() {
            limit.initial = words.next()?.parse().ok()?;
        }
        if words.next_if_eq(&"tolerance").is_some() {
            limit.tolerance = words.next()?.parse().ok()?;
        }
        let limits = Limits {
            adaptive: Some(limit),
            ..Limits::default()
        };
        let is_valid = words.next().is_none() && limits.validate().is_ok();
        is_valid.then_some(limits.adaptive)
    }

    fn show(&self) -> String {
        self.map_or("off".to_owned(), |limit| {
            let AdaptiveLimit {
                initial,
                min,
                max,
                tolerance,
            } = limit;
            format!("{min}..{max} initial {initial} tolerance {tolerance}")
        })
    }
}

/// The usual limit, within bounds such as `8..10000`.
fn within(range: &str) -> Option<AdaptiveLimit> {
    let usual = AdaptiveLimit::default();
    let (min, max) = range.split_once("..")?;
    let (min, max) = (min.parse().ok()?, max.parse().ok()?);
    (min <= max).then(|| AdaptiveLimit {
        initial: usual.initial.clamp(min, max),
        min,
        max,
        ..usual
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_valid_or_refused() {
        let read = |text| Option::<RateLimit>::read(text).map(|rate| rate.show());
        assert_eq!(read("1000/s").as_deref(), Some("1000/s burst 1000"));
        assert_eq!(read("0.5/s burst 2").as_deref(), Some("0.5/s burst 2"));
        assert_eq!(read("unlimited").as_deref(), Some("unlimited"));
        for text in ["1000", "0/s", "-1/s", "1/s burst 0", "NaN/s"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn budgets_are_written_as_rates_are() {
        let read = |text| Budget::read(text).map(|budget| budget.show());
        assert_eq!(read("200/s").as_deref(), Some("200/s burst 200"));
        assert_eq!(read("0/s burst 9").as_deref(), Some("0/s burst 9"));
        assert_eq!(read("unlimited").as_deref(), Some("unlimited"));
        for text in ["200", "0.5/s", "-1/s", "1/s bursts 2", "by-streams", ""] {
            assert_eq!(read(text), None, "{text}");
        }
        let read = |text| Option::<Budget>::read(text).map(|budget| budget.show());
        assert_eq!(read("by-streams").as_deref(), Some("by-streams"));
        assert_eq!(read("9/s burst 10").as_deref(), Some("9/s burst 10"));
        assert_eq!(read("none"), None);
    }

    #[test]
    fn adaptive_limits_say_where_they_begin_and_what_they_tolerate() {
        let read = |text| Option::<AdaptiveLimit>::read(text).map(|limit| limit.show());
        for (text, shown) in [
            ("off", "off"),
            ("on", "8..10000 initial 64 tolerance 2"),
            ("4..16", "4..16 initial 16 tolerance 2"),
            ("4..16 tolerance 1.5", "4..16 initial 16 tolerance 1.5"),
            ("on initial 200", "8..10000 initial 200 tolerance 2"),
            ("1..9 initial 2 tolerance 3", "1..9 initial 2 tolerance 3"),
        ] {
            assert_eq!(read(text).as_deref(), Some(shown), "{text}");
            assert_eq!(read(shown).as_deref(), Some(shown));
        }
        for text in [
            "",
            "8",
            "0..8",
            "8..4",
            "off initial 8",
            "on initial 7",
            "8..16 initial 17",
            "on initial",
            "on initial many",
            "on tolerance 1",
            "on tolerance inf",
            "on tolerance NaN",
            "on tolerance 3 initial 64",
            "on initial 64 tolerance 2 more",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
