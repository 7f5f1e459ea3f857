//! Kinds of values, as people write them.

mod limits;

use std::{num::NonZeroUsize, time::Duration};

use crate::server::Runtimes;

/// What a number counts, where it is no size.
pub(super) struct Plain;

/// Bytes, which may be written in larger units.
pub(super) struct Bytes;

/// Services, and methods.
pub(super) struct Names;

/// A value that is text in a file or a variable.
pub(super) trait Value<Unit = Plain>: Sized {
    /// What is read, to follow "must be".
    const EXPECTED: &'static str;

    /// What is no limit in code, where text has [`UNLIMITED`] for it.
    const UNLIMITED_IN_CODE: Option<&'static str> = None;

    /// Whether a file may have a list of texts, which are read with commas between.
    const IS_LIST: bool = false;

    fn read(text: &str) -> Option<Self>;

    fn show(&self) -> String;
}

pub(super) const UNLIMITED: &str = "unlimited";
pub(super) const NONE: &str = "none";

/// Sets `value` to what `text` says.
///
/// # Errors
///
/// What it must be.
pub(super) fn read<Unit, T: Value<Unit>>(value: &mut T, text: &str) -> Result<(), &'static str> {
    *value = T::read(text.trim()).ok_or(T::EXPECTED)?;
    Ok(())
}

pub(super) fn show<Unit, T: Value<Unit>>(value: &T) -> String {
    value.show()
}

pub(super) fn expected<Unit, T: Value<Unit>>(_: &T) -> &'static str {
    T::EXPECTED
}

pub(super) fn unlimited<Unit, T: Value<Unit>>(_: &T) -> Option<&'static str> {
    T::UNLIMITED_IN_CODE
}

pub(super) fn is_list<Unit, T: Value<Unit>>(_: &T) -> bool {
    T::IS_LIST
}

impl Value for Duration {
    const EXPECTED: &'static str =
        "a duration such as \"30s\", \"1.5s\", \"250ms\", \"5m\" or \"2h\", or \"unlimited\"";
    const UNLIMITED_IN_CODE: Option<&'static str> = Some("Duration::MAX");

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
    const EXPECTED: &'static str = "a whole number, or \"unlimited\"";
    const UNLIMITED_IN_CODE: Option<&'static str> = Some("usize::MAX");

    fn read(text: &str) -> Option<Self> {
        match text {
            UNLIMITED => Some(Self::MAX),
            number => number.parse().ok(),
        }
    }

    fn show(&self) -> String {
        match *self {
            Self::MAX => UNLIMITED.to_owned(),
            number => number.to_string(),
        }
    }
}

impl Value<Bytes> for usize {
    const EXPECTED: &'static str =
        "a number of bytes such as 4194304, \"4096KiB\" or \"4MiB\", or \"unlimited\"";
    const UNLIMITED_IN_CODE: Option<&'static str> = <Self as Value>::UNLIMITED_IN_CODE;

    fn read(text: &str) -> Option<Self> {
        match text {
            UNLIMITED => Some(Self::MAX),
            size => read_bytes(size)?.try_into().ok(),
        }
    }

    fn show(&self) -> String {
        Value::<Plain>::show(self)
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

impl Value<Bytes> for u32 {
    const EXPECTED: &'static str =
        "a number of bytes such as 16384 or \"16KiB\", and less than \"4GiB\"";

    fn read(text: &str) -> Option<Self> {
        read_bytes(text)?.try_into().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn read_bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim_end(), size)))
        .unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(unit)
}

impl Value for bool {
    const EXPECTED: &'static str = "\"on\" or \"off\"";

    /// TOML has words of its own.
    fn read(text: &str) -> Option<Self> {
        match text {
            "on" | "true" => Some(true),
            "off" | "false" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let word = if *self { "on" } else { "off" };
        word.to_owned()
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

impl Value for Vec<String> {
    const EXPECTED: &'static str = "addresses such as \"127.0.0.1:50051\" or \"unix:/run/greeter.sock\", with commas between and neither quotes nor \
         brackets around them, or \"none\"";

    const IS_LIST: bool = true;

    fn read(text: &str) -> Option<Self> {
        read_list(text)
    }

    fn show(&self) -> String {
        match self.as_slice() {
            [] => NONE.to_owned(),
            texts => texts.join(","),
        }
    }
}

impl Value<Names> for Vec<String> {
    const EXPECTED: &'static str = "services and methods such as \"helloworld.Greeter\" or \"helloworld.Greeter/SayHello\", with commas between and neither \
         quotes nor brackets around them, or \"none\"";

    const IS_LIST: bool = true;

    /// A slash before a name, as in the path of a call, is left out.
    fn read(text: &str) -> Option<Self> {
        let names = read_list(text)?.into_iter();
        let names = names.map(|name| name.trim_start_matches('/').to_owned());
        let names: Self = names.collect();
        names.iter().all(|name| !name.is_empty()).then_some(names)
    }

    fn show(&self) -> String {
        Value::<Plain>::show(self)
    }
}

/// Texts with commas between.
fn read_list(text: &str) -> Option<Vec<String>> {
    if text == NONE {
        return Some(Vec::new());
    }
    let is_list_of_toml = text.starts_with('[') && text.ends_with(']');
    let read = text.split(',').map(|text| text.trim().to_owned());
    let read: Vec<_> = read.collect();
    let is_bare = |text: &String| !text.is_empty() && !text.contains(['"', '\'']);
    (!is_list_of_toml && read.iter().all(is_bare)).then_some(read)
}

impl Value for Option<usize> {
    const EXPECTED: &'static str = "a whole number of at least 1, or \"unlimited\"";

    fn read(text: &str) -> Option<Self> {
        match text {
            UNLIMITED => Some(None),
            number => number.parse().ok().filter(|number| *number > 0).map(Some),
        }
    }

    fn show(&self) -> String {
        self.map_or(UNLIMITED.to_owned(), |number| number.to_string())
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
        let read = <usize as Value<Bytes>>::read;
        for (text, bytes) in [
            ("0", 0),
            ("4194304", 4 << 20),
            ("4MiB", 4 << 20),
            ("1 KiB", 1024),
            ("unlimited", usize::MAX),
        ] {
            assert_eq!(read(text), Some(bytes));
        }
        for text in ["4MB", "-1", "1.5MiB", "99999999999GiB", ""] {
            assert_eq!(read(text), None, "{text}");
        }
        let read = <u32 as Value<Bytes>>::read;
        assert_eq!(read("16KiB"), Some(16 << 10));
        assert_eq!(read("4GiB"), None);
    }

    #[test]
    fn counts_have_no_units() {
        let read = <usize as Value>::read;
        assert_eq!(read("1000"), Some(1000));
        assert_eq!(read("unlimited"), Some(usize::MAX));
        assert_eq!(read("1KiB"), None);
        assert_eq!(Option::<usize>::read("0"), None);
        for expected in [<usize as Value>::EXPECTED, <u32 as Value>::EXPECTED] {
            assert!(!expected.contains("iB"), "{expected}");
        }
    }

    #[test]
    fn what_is_on_or_off_may_be_written_as_toml_has_it() {
        for (text, on) in [
            ("on", true),
            ("true", true),
            ("off", false),
            ("false", false),
        ] {
            assert_eq!(bool::read(text), Some(on));
        }
        assert_eq!(bool::read("1"), None);
        assert_eq!([true, false].map(|on| on.show()), ["on", "off"]);
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

    #[test]
    fn addresses_have_commas_between() {
        type Addresses = Vec<String>;
        let read = |text| {
            let read = <Addresses as Value>::read(text);
            read.map(|addresses| Value::<Plain>::show(&addresses))
        };
        let shown = read("127.0.0.1:50051, unix:/run/a.sock");
        assert_eq!(shown.as_deref(), Some("127.0.0.1:50051,unix:/run/a.sock"));
        assert_eq!(read("none").as_deref(), Some("none"));
        assert_eq!(read("[::]:1,[::1]:2").as_deref(), Some("[::]:1,[::1]:2"));
        for text in ["", "a:1,", ",a:1", "[a:1]", "[\"a:1\", 'b:2']", "\"a:1\""] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
    #[test]
    fn names_may_be_paths() {
        let read = <Vec<String> as Value<Names>>::read;
        assert_eq!(read("/a.B/C, a.D").unwrap(), ["a.B/C", "a.D"]);
        assert!(read("none").unwrap().is_empty());
        for text in ["", "/", "a.B,", "['a.B']"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
