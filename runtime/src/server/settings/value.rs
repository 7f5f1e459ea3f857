//! Kinds of values, as people write them.

use std::{num::NonZeroUsize, time::Duration};

use crate::server::Runtimes;

/// A value that is text in a file or a variable.
pub(super) trait Value: Sized {
    /// What is read, to follow "must be".
    const EXPECTED: &'static str;

    fn read(text: &str) -> Option<Self>;

    fn show(&self) -> String;
}

const UNLIMITED: &str = "unlimited";

/// Sets `value` to what `text` says.
///
/// # Errors
///
/// What it must be.
pub(super) fn read<T: Value>(value: &mut T, text: &str) -> Result<(), &'static str> {
    *value = T::read(text.trim()).ok_or(T::EXPECTED)?;
    Ok(())
}

impl Value for Duration {
    const EXPECTED: &'static str =
        "a duration such as \"30s\", \"1.5s\", \"250ms\", \"5m\" or \"2h\", or \"unlimited\"";

    fn read(text: &str) -> Option<Self> {
        if text == UNLIMITED {
            return Some(Self::MAX);
        }
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        Self::try_from_secs_f64(number * seconds).ok()
    }

    fn show(&self) -> String {
        match *self {
            Self::MAX => UNLIMITED.to_owned(),
            duration => format!("{duration:?}"),
        }
    }
}

impl Value for usize {
    const EXPECTED: &'static str =
        "a whole number, with \"KiB\", \"MiB\" or \"GiB\" behind it or without, or \"unlimited\"";

    fn read(text: &str) -> Option<Self> {
        if text == UNLIMITED {
            return Some(Self::MAX);
        }
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let (number, unit) = units
            .into_iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim_end(), size)))
            .unwrap_or((text, 1));
        number.parse::<Self>().ok()?.checked_mul(unit)
    }

    fn show(&self) -> String {
        match *self {
            Self::MAX => UNLIMITED.to_owned(),
            number => number.to_string(),
        }
    }
}

impl Value for u32 {
    const EXPECTED: &'static str = "a whole number of at most 4294967295";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Runtimes {
    const EXPECTED: &'static str = "\"current\", \"per-core\" or a number of threads";

    fn read(text: &str) -> Option<Self> {
        match text {
            "current" => Some(Self::Current),
            "per-core" => Some(Self::PerCore),
            number => number.parse::<NonZeroUsize>().ok().map(Self::Threads),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Current => "current".to_owned(),
            Self::PerCore => "per-core".to_owned(),
            Self::Threads(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1.5s", 1500),
            ("250ms", 250),
            ("2h", 7_200_000),
        ] {
            assert_eq!(Duration::read(text), Some(Duration::from_millis(millis)));
        }
        assert_eq!(Duration::read("unlimited"), Some(Duration::MAX));
        for text in [
            "30",
            "s",
            "1 s",
            "-1s",
            "1.2.3s",
            "99999999999999999999h",
            "",
        ] {
            assert_eq!(Duration::read(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_may_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4194304", 4 << 20),
            ("4MiB", 4 << 20),
            ("1 KiB", 1024),
        ] {
            assert_eq!(usize::read(text), Some(bytes));
        }
        for text in ["4MB", "-1", "1.5MiB", "99999999999GiB", ""] {
            assert_eq!(usize::read(text), None, "{text}");
        }
    }

    #[test]
    fn runtimes_are_words_or_a_number() {
        assert_eq!(Runtimes::read("per-core"), Some(Runtimes::PerCore));
        assert_eq!(
            Runtimes::read("2").map(|read| read.show()),
            Some("2".to_owned())
        );
        assert_eq!(Runtimes::read("0"), None);
    }
}
