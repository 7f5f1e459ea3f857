//! Limits of several parts.

use super::{UNLIMITED, Value};
use crate::server::{AdaptiveLimit, Limits, RateLimit};

impl Value for Option<RateLimit> {
    const EXPECTED: &'static str = "calls per second such as \"1000/s\", with a burst such as \"1000/s burst 50\", or \"unlimited\"";

    /// Without a burst, it is the calls of one second.
    fn read(text: &str) -> Option<Self> {
        if text == UNLIMITED {
            return Some(None);
        }
        let (calls, burst) = text.split_once("/s")?;
        let calls_per_second: f64 = calls.parse().ok()?;
        let burst = match burst.trim() {
            "" => calls_per_second.ceil() as u32,
            burst => burst.strip_prefix("burst ")?.trim().parse().ok()?,
        };
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

impl Value for Option<AdaptiveLimit> {
    const EXPECTED: &'static str =
        "\"on\", \"off\", or the least and the most that the limit becomes, such as \"8..10000\"";

    /// What is not said is as by default.
    fn read(text: &str) -> Option<Self> {
        let usual = AdaptiveLimit::default();
        let limit = match text {
            "off" => return Some(None),
            "on" => usual,
            range => {
                let (min, max) = range.split_once("..")?;
                let (min, max) = (min.parse().ok()?, max.parse().ok()?);
                (min <= max).then(|| AdaptiveLimit {
                    initial: usual.initial.clamp(min, max),
                    min,
                    max,
                    ..usual
                })?
            }
        };
        (limit.min > 0).then_some(Some(limit))
    }

    fn show(&self) -> String {
        self.map_or("off".to_owned(), |limit| {
            format!("{}..{}", limit.min, limit.max)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_on_calls_are_valid_or_refused() {
        let rate = |text| Option::<RateLimit>::read(text).map(|rate| rate.show());
        assert_eq!(rate("1000/s").as_deref(), Some("1000/s burst 1000"));
        assert_eq!(rate("0.5/s burst 2").as_deref(), Some("0.5/s burst 2"));
        assert_eq!(rate("unlimited").as_deref(), Some("unlimited"));
        for text in ["1000", "0/s", "-1/s", "1/s burst 0", "NaN/s"] {
            assert_eq!(rate(text), None, "{text}");
        }
        let adaptive = |text| Option::<AdaptiveLimit>::read(text).map(|limit| limit.show());
        assert_eq!(adaptive("on").as_deref(), Some("8..10000"));
        assert_eq!(adaptive("4..16").as_deref(), Some("4..16"));
        for text in ["0..8", "8..4", "8", ""] {
            assert_eq!(adaptive(text), None, "{text}");
        }
    }
}
