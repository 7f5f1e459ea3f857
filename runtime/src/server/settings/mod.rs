//! The options of a server that are plain data: by name, from text and as text.

#[cfg(feature = "config")]
mod configuration;
#[cfg(feature = "config")]
mod file;
#[cfg(any(test, feature = "config"))]
mod names;
mod origins;
mod value;

use std::{fmt, sync::atomic::Ordering};

use tonic::Status;

pub(super) use self::origins::Origins;
use self::value::Plain;
use super::{Limits, options::Options};

/// An option by its name, which is also that of the method of [`Server`](super::Server) that sets it, but for those of
/// [`Limits`](super::Limits) and of `ServerTls`, which have names of their own here.
struct Setting<T> {
    name: &'static str,
    #[cfg_attr(not(feature = "config"), allow(dead_code))]
    set: fn(&mut T, &str) -> Result<(), &'static str>,
    show: fn(&T) -> String,
    /// Whether a file may have a list of texts for it.
    #[cfg_attr(not(feature = "config"), allow(dead_code))]
    is_list: fn(&T) -> bool,
    /// What a value must be.
    #[cfg_attr(not(feature = "config"), allow(dead_code))]
    expected: fn(&T) -> &'static str,
    /// What is no limit in code, where text has a word for it.
    unlimited: fn(&T) -> Option<&'static str>,
}

macro_rules! settings {
    (@unit) => { value::Plain };
    (@unit $unit:ident) => { value::$unit };
    ($owner:ty: $($name:ident: $($field:ident).+ $(in $unit:ident)?,)*) => {
        &[$(
            Setting {
                name: stringify!($name),
                set: |options, text| {
                    value::read::<settings!(@unit $($unit)?), _>(&mut options.$($field).+, text)
                },
                show: |options| value::show::<settings!(@unit $($unit)?), _>(&options.$($field).+),
                is_list: |options| {
                    value::is_list::<settings!(@unit $($unit)?), _>(&options.$($field).+)
                },
                expected: |options| {
                    value::expected::<settings!(@unit $($unit)?), _>(&options.$($field).+)
                },
                unlimited: |options| {
                    value::unlimited::<settings!(@unit $($unit)?), _>(&options.$($field).+)
                },
            },
        )*]
    };
}

/// One line each: the name of the method, and where in the options its value is. In the order of names.
const SETTINGS: &[Setting<Options>] = settings! { Options:
    adaptive_limit: admission.limits.adaptive,
    blocking_threshold: blocking_threshold,
    compression_threshold: compression.threshold in Bytes,
    control_frame_budget: protection.allowance.control_frames,
    default_timeout: default_timeout,
    exempt_from_limits: admission.exempt in Names,
    flood_protection: protection.allowance.counts_frames,
    handshake_timeout: protection.handshake_timeout,
    keepalive: lifetime.keepalive_time,
    keepalive_timeout: lifetime.keepalive_timeout,
    lame_duck_time: lame_duck_time,
    listen: listen,
    max_concurrent_calls: admission.limits.max_concurrent_calls,
    max_concurrent_streams: max_concurrent_streams,
    max_connection_age: lifetime.max_age,
    max_connection_age_grace: lifetime.max_age_grace,
    max_connection_idle: lifetime.max_idle,
    max_connections: protection.max_connections,
    max_connections_per_address: protection.max_connections_per_address,
    max_header_list_size: protection.max_header_list_size in Bytes,
    max_queue_time: admission.limits.queue.max_wait,
    max_queued_calls: admission.limits.queue.max_calls,
    max_receive_message_size: max_receive_message_size in Bytes,
    max_send_message_size: compression.max_message_size in Bytes,
    max_unsent_bytes: protection.max_unsent_bytes in Bytes,
    min_ping_interval: protection.allowance.min_ping_interval,
    rate_limit: admission.limits.rate,
    refused_stream_budget: protection.allowance.refused_streams,
    reset_budget: protection.resets,
    runtimes: runtimes,
    shutdown_timeout: shutdown_timeout,
    tls_handshake_timeout: tls_handshake_timeout,
    window_update_budget: protection.allowance.window_updates,
    write_stall_timeout: protection.write_stall_timeout,
};

/// What a zero would do that nobody means by it: some take it for "no limit".
const NEVER_ZERO: &[(&str, &str)] = &[
    (
        "default_timeout",
        "calls that state no deadline would end at once",
    ),
    ("handshake_timeout", NOBODY),
    (
        "keepalive_timeout",
        "a peer that is pinged could not answer in time",
    ),
    ("max_concurrent_streams", NOBODY),
    ("max_connection_age", AT_ONCE),
    ("max_connection_idle", AT_ONCE),
    ("max_connections", NOBODY),
    ("max_connections_per_address", NOBODY),
    ("max_header_list_size", NOBODY),
    ("max_unsent_bytes", NOBODY),
    ("tls_handshake_timeout", NOBODY),
    ("write_stall_timeout", NOBODY),
];

/// What a client of HTTP/2 sends at once beside its calls: SETTINGS, the ACK of the server's, and in some, a ping or a priority.
const LEAST_CONTROL_FRAMES: u32 = 3;

const NOBODY: &str = "nobody would be served";
const AT_ONCE: &str = "each peer would be told to go away at once";

/// In a file, the table of the limits of methods and services.
const METHOD_LIMITS: &str = "method_limits";

/// Those of the limits of a method or a service, by the names that they have for all calls together.
const LIMITS: &[Setting<Limits>] = settings! { Limits:
    adaptive_limit: adaptive,
    max_concurrent_calls: max_concurrent_calls,
    max_queue_time: queue.max_wait,
    max_queued_calls: queue.max_calls,
    rate_limit: rate,
};

/// Sets what `name` is for.
///
/// # Errors
///
/// What is wrong with its value.
#[cfg(feature = "config")]
fn set(options: &mut Options, name: &str, value: &str, from: &str) -> Result<(), String> {
    for setting in names::settings_of(name) {
        let set = (setting.set)(options, value);
        set.map_err(|expected| wrong(name, value, from, expected))?;
        let value = (setting.show)(options);
        options.origins.insert(setting.name, value, from.to_owned());
    }
    Ok(())
}

#[cfg(feature = "config")]
fn wrong(name: &str, value: &str, from: &str, expected: &str) -> String {
    format!("{from}: {name} is {value:?}, and must be {expected}")
}

/// The name under which the limits of a method or a service are shown, and their origin is known.
fn name_of_limits(method: &str) -> String {
    format!("{METHOD_LIMITS}.\"{method}\"")
}

fn show_limits(limits: &Limits) -> String {
    let settings = LIMITS.iter();
    let settings = settings.map(|setting| format!("{}={}", setting.name, (setting.show)(limits)));
    format!("{{{}}}", settings.collect::<Vec<_>>().join(", "))
}

/// # Errors
///
/// INVALID_ARGUMENT for settings that are so small that nobody can mean it: all of them, in the order of a file's lines.
pub(super) fn refuse_too_little(options: &Options) -> Result<(), Status> {
    let control_frames = options.protection.allowance.control_frames;
    let mut problems = Vec::new();
    for setting in SETTINGS {
        let never_zero = NEVER_ZERO.iter().find(|(name, _)| *name == setting.name);
        let value = (setting.show)(options);
        if let Some((_, why)) = never_zero
            && ["0", "0ns"].contains(&value.as_str())
        {
            let problem = format!("must be more than 0: {why}");
            problems.push(too_little(options, setting, &problem));
        }
        if setting.name == "control_frame_budget" && control_frames.burst < LEAST_CONTROL_FRAMES {
            let problem = format!(
                "must have a burst of at least {LEAST_CONTROL_FRAMES}, with which clients begin: {NOBODY}"
            );
            problems.push(too_little(options, setting, &problem));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    // Those of variables and of code come last.
    problems.sort_by_key(|(line, _)| line.unwrap_or(u32::MAX));
    let problems: Vec<_> = problems.into_iter().map(|(_, problem)| problem).collect();
    Err(Status::invalid_argument(problems.join("\n")))
}

/// The line in a file, if it is from one, and what is wrong.
fn too_little(
    options: &Options,
    setting: &Setting<Options>,
    problem: &str,
) -> (Option<u32>, String) {
    let name = setting.name;
    let value = (setting.show)(options);
    let place = options.origins.of(name, &value);
    let help = match (place, (setting.unlimited)(options)) {
        (_, None) => String::new(),
        (Some(_), Some(_)) => "; \"unlimited\" is no limit".to_owned(),
        (None, Some(in_code)) => format!("; `{in_code}` is no limit"),
    };
    let line = place.and_then(|place| place.rsplit(':').nth(1)?.parse().ok());
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    (
        line,
        format!("{place}{name} is {value}, and {problem}{help}"),
    )
}

/// Tells what the server was configured by, and of all settings for who looks at the log in detail.
pub(super) fn log(options: &Options) {
    if let Some(sources) = &options.origins.sources {
        sources.log();
    }
    tracing::debug!(target: "wireloom", settings = %Shown(options), "the server starts");
    if let Some(from) = unused_listen(options) {
        tracing::warn!(
            target: "wireloom",
            from,
            "`listen` is set and does nothing: the server was given other listeners than those of `Server::listeners`"
        );
    }
}

impl Options {
    /// Where `listen` is from, unless that is code.
    pub(super) fn origin_of_listen(&self) -> Option<&str> {
        self.origins
            .of("listen", &value::show::<Plain, _>(&self.listen))
    }
}

/// Where `listen` is from, if whoever runs the server set it and the server does not listen there.
fn unused_listen(options: &Options) -> Option<&str> {
    let from = options.origin_of_listen()?;
    let is_used = options.is_listen_used.load(Ordering::Relaxed);
    (!is_used && !options.listen.is_empty()).then_some(from)
}

struct Shown<'a>(&'a Options);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = Options::default();
        for (i, setting) in SETTINGS.iter().enumerate() {
            let value = (setting.show)(self.0);
            let from = match self.0.origins.of(setting.name, &value) {
                Some(from) => from,
                None if value == (setting.show)(&defaults) => "default",
                None => "code",
            };
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}={value} ({from})", setting.name)?;
        }
        for (method, limits) in &self.0.admission.methods {
            let from = self.0.origins.of_limits(method, limits);
            let from = from.unwrap_or("code");
            let (name, value) = (name_of_limits(method), show_limits(limits));
            write!(f, ", {name}={value} ({from})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Server, server::Budget};

    #[test]
    fn what_is_shown_is_read_again() {
        let mut options = Options::default();
        for setting in SETTINGS {
            let shown = (setting.show)(&options);
            (setting.set)(&mut options, &shown).unwrap();
            assert_eq!((setting.show)(&options), shown, "{}", setting.name);
        }
    }

    #[test]
    fn settings_are_in_order_and_have_one_name_each() {
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn every_option_that_is_plain_data_is_a_setting_and_documented() {
        let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(manifest.join("../docs/server.md")).unwrap();
        let (_, table) = page.split_once("## Configuration").unwrap();
        let files = [
            include_str!("../options.rs"),
            include_str!("../admission/options.rs"),
            include_str!("../lifetime/options.rs"),
            include_str!("../protection/options.rs"),
        ];
        let methods = files.iter().flat_map(|file| file.split("pub fn ").skip(1));
        let methods = methods.filter_map(|text| {
            let (name, rest) = text.split_once('(')?;
            let rest = rest.trim_start_matches("mut ").strip_prefix("self, ")?;
            let (_, rest) = rest.split_once(": ")?;
            let (kind, _) = rest.split_once(')')?;
            let is_plain = [
                "Budget", "Duration", "Runtimes", "bool", "u32", "u64", "usize",
            ]
            .contains(&kind);
            is_plain.then_some(name)
        });
        let methods: Vec<_> = methods.collect();
        assert!(methods.contains(&"max_concurrent_streams"), "{methods:?}");
        for method in methods {
            assert!(names::all().contains(&method), "`SETTINGS` lacks {method}");
        }
        for name in names::all() {
            assert!(
                table.contains(&format!("`{name}`")),
                "docs/server.md lacks {name}"
            );
        }
    }

    #[test]
    fn the_generator_knows_all_settings() {
        let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = manifest.join("../generator/src/config/server.rs");
        let text = std::fs::read_to_string(file).unwrap();
        let keys = |list: &str| {
            let (_, keys) = text.split_once(&format!("{list}: &[&str] = &[")).unwrap();
            let (keys, _) = keys.split_once(']').unwrap();
            let keys = keys.split('"').skip(1).step_by(2).map(str::to_owned);
            keys.collect::<Vec<_>>()
        };
        assert_eq!(keys("KEYS"), names::all());
        let limits: Vec<_> = LIMITS.iter().map(|setting| setting.name).collect();
        assert_eq!(keys("LIMITS"), limits);
    }

    #[cfg(feature = "config")]
    #[test]
    fn the_generator_s_tables_are_known() {
        let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(manifest.join("../generator/src/config.rs")).unwrap();
        let (_, reader) = text.split_once("fn from_file(").unwrap();
        let (reader, _) = reader.split_once("file.finish(").unwrap();
        let tables = reader.split('"').skip(1).step_by(2);
        let mut tables: Vec<_> = tables.filter(|name| *name != "server").collect();
        tables.sort_unstable();
        assert_eq!(tables, file::GENERATORS);
    }

    #[test]
    fn a_listen_of_the_configuration_is_unused_until_listeners_are_made_of_it() {
        let configured = || {
            let mut server = Server::builder().listen(["127.0.0.1:0"]);
            let value = value::show::<Plain, _>(&server.options.listen);
            let from = "WIRELOOM_SERVER_LISTEN".to_owned();
            server.options.origins.insert("listen", value, from);
            server
        };
        let server = configured();
        assert_eq!(
            unused_listen(&server.options),
            Some("WIRELOOM_SERVER_LISTEN")
        );
        drop(server.listeners());
        assert_eq!(unused_listen(&server.options), None);
        let set_since = configured().listen(["127.0.0.1:1"]);
        assert_eq!(unused_listen(&set_since.options), None);
        let in_code = Server::builder().listen(["127.0.0.1:0"]);
        assert_eq!(unused_listen(&in_code.options), None);
    }

    #[test]
    fn what_is_never_zero_is_a_setting_and_refused() {
        for (name, why) in NEVER_ZERO {
            let setting = SETTINGS.iter().find(|setting| setting.name == *name);
            let mut options = Options::default();
            let zeros = ["0", "0s"].map(|zero| (setting.unwrap().set)(&mut options, zero));
            assert!(zeros.iter().any(Result::is_ok), "{name}");
            let status = refuse_too_little(&options).unwrap_err();
            let message = status.message();
            assert!(
                message.starts_with(name) && message.contains(why),
                "{status}"
            );
        }
        refuse_too_little(&Options::default()).unwrap();
    }

    #[test]
    fn what_is_too_little_in_code_is_told_in_words_of_code() {
        let budget = |burst| Budget {
            burst,
            per_second: 2,
        };
        let refused = |server: Server| {
            let status = refuse_too_little(&server.options).unwrap_err();
            status.message().to_owned()
        };
        let server = Server::builder;
        assert_eq!(
            refused(server().control_frame_budget(budget(2))),
            "control_frame_budget is 2/s burst 2, and must have a burst of at least 3, with which clients begin: nobody would be \
             served; `Budget::UNLIMITED` is no limit"
        );
        refuse_too_little(&server().control_frame_budget(budget(3)).options).unwrap();
        assert_eq!(
            refused(server().max_connections(0)),
            "max_connections is 0, and must be more than 0: nobody would be served; `usize::MAX` is no limit"
        );
        let no_time = refused(server().write_stall_timeout(Duration::ZERO));
        assert!(
            no_time.ends_with("; `Duration::MAX` is no limit"),
            "{no_time}"
        );
        let no_streams = refused(server().max_concurrent_streams(0));
        assert!(
            no_streams.ends_with(": nobody would be served"),
            "{no_streams}"
        );
    }

    #[test]
    fn it_is_shown_what_is_a_default_and_what_is_not() {
        let server = Server::builder().shutdown_timeout(Duration::from_millis(1500));
        let shown = Shown(&server.options).to_string();
        assert!(shown.contains("shutdown_timeout=1.5s (code)"), "{shown}");
        assert!(
            shown.contains("max_connection_age=unlimited (default)"),
            "{shown}"
        );
    }
}
