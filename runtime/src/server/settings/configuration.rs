//! Settings from `wireloom.toml` and from the environment.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tonic::{Code, Status};

use super::{Origin, SETTINGS, Setting};
use crate::{
    server::{Server, options::Options},
    status,
};

/// The file, unless [`FILE_VARIABLE`] names another.
const FILE: &str = "wireloom.toml";
const FILE_VARIABLE: &str = "WIRELOOM_CONFIG";

/// The table of the file.
const TABLE: &str = "server";

/// Before a setting's name in capitals.
const VARIABLES: &str = "WIRELOOM_SERVER_";
const ALL_VARIABLES: &str = "WIRELOOM_";

/// An unknown name must be at least this much like a known one, of 1.0, to be meant for it.
const ALIKE: f64 = 0.6;

impl Server {
    /// Sets what the table `[server]` of `wireloom.toml` says, and what variables such as `WIRELOOM_SERVER_SHUTDOWN_TIMEOUT` say,
    /// which win over the file. What is set before this call is a default for both; what is set after it wins over them.
    ///
    /// The file is the one in the working folder, if there is one, or that of `WIRELOOM_CONFIG`. Its keys are the names of
    /// methods of [`Server`], and so are those of the variables, in capitals. A `debug` event shows all values, and where
    /// they come from, when the server starts.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a file that cannot be read or is no TOML, for unknown keys, and for values that a setting cannot
    /// have; it names all of them, one per line. A variable that may be meant for a setting and is none is a `warn` event.
    pub fn configured(self) -> Result<Self, Status> {
        let named = std::env::var_os(FILE_VARIABLE);
        let file = named.as_deref().map(Path::new);
        let file = file.or_else(|| Some(Path::new(FILE)).filter(|file| file.exists()));
        self.configured_by(
            file,
            std::env::vars_os().filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            }),
        )
    }

    fn configured_by(
        mut self,
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Status> {
        let mut problems = Vec::new();
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let message = format!("cannot read {}: {error}", file.display());
                status::with_source(Code::InvalidArgument, message, error)
            })?;
            let source = Source {
                name: file.display().to_string(),
                text: &text,
            };
            source.configure(&mut self.options, &mut problems);
        }
        for (name, value) in variables {
            if let Some(setting) = setting_of(&name) {
                set(&mut self.options, setting, &value, name, &mut problems);
            } else if let Some(meant) = meant_by(&name) {
                tracing::warn!(
                    target: "wireloom",
                    variable = name,
                    "there is no such setting of a server: {meant}"
                );
            }
        }
        match problems.is_empty() {
            true => Ok(self),
            false => Err(Status::invalid_argument(problems.join("\n"))),
        }
    }
}

/// Sets a value, or says what is wrong with it.
fn set(
    options: &mut Options,
    setting: &'static Setting,
    value: &str,
    from: String,
    problems: &mut Vec<String>,
) {
    match (setting.set)(options, value) {
        Ok(()) => {
            let value = (setting.show)(options);
            let origin = Origin { value, from };
            options.origins.0.insert(setting.name, origin);
        }
        Err(expected) => {
            let name = setting.name;
            problems.push(format!(
                "{from}: {name} is {value:?}, and must be {expected}"
            ));
        }
    }
}

fn setting_of(variable: &str) -> Option<&'static Setting> {
    let name = variable.strip_prefix(VARIABLES)?;
    SETTINGS
        .iter()
        .find(|setting| setting.name.to_ascii_uppercase() == name)
}

/// What a variable may be meant for that is none; other variables of this name's beginning are other programs' business.
fn meant_by(variable: &str) -> Option<String> {
    let of_server = variable.strip_prefix(VARIABLES);
    let name = of_server.or_else(|| variable.strip_prefix(ALL_VARIABLES))?;
    match nearest(&name.to_ascii_lowercase()) {
        Some(setting) => {
            let meant = setting.name.to_ascii_uppercase();
            Some(format!("did you mean {VARIABLES}{meant}?"))
        }
        None => of_server.map(|_| format!("there are {}", names())),
    }
}

fn nearest(name: &str) -> Option<&'static Setting> {
    let alike = |setting: &Setting| strsim::normalized_damerau_levenshtein(name, setting.name);
    SETTINGS
        .iter()
        .filter(|setting| alike(setting) >= ALIKE)
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
}

fn names() -> String {
    let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.join(", ")
}

/// The text of a file, and how it is called.
struct Source<'a> {
    name: String,
    text: &'a str,
}

impl Source<'_> {
    fn configure(&self, options: &mut Options, problems: &mut Vec<String>) {
        let file = match DeTable::parse(self.text) {
            Ok(file) => file.into_inner(),
            Err(error) => {
                let at = error.span().map_or(self.text.len(), |span| span.start);
                problems.push(format!(
                    "{}: this is no TOML: {}",
                    self.place(at),
                    error.message()
                ));
                return;
            }
        };
        let Some((key, value)) = file.into_iter().find(|(key, _)| key.get_ref() == TABLE) else {
            return;
        };
        let DeValue::Table(table) = value.into_inner() else {
            let place = self.place(key.span().start);
            return problems.push(format!("{place}: {TABLE} must be a table"));
        };
        let mut settings: Vec<_> = table.into_iter().collect();
        settings.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in settings {
            self.set(options, &key, value, problems);
        }
    }

    fn set(
        &self,
        options: &mut Options,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: Spanned<DeValue<'_>>,
        problems: &mut Vec<String>,
    ) {
        let name = key.get_ref();
        let place = self.place(key.span().start);
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == *name) else {
            let help = match nearest(name) {
                Some(setting) => format!("did you mean {}?", setting.name),
                None => format!("there are {}", names()),
            };
            return problems.push(format!("{place}: [{TABLE}] has no key {name}: {help}"));
        };
        let text = match value.into_inner() {
            DeValue::String(text) => Some(text.into_owned()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(value) => Some(value.to_string()),
            DeValue::Array(values) if (setting.is_list)(options) => {
                let texts = values.iter().map(|value| value.get_ref().as_str());
                texts
                    .collect::<Option<Vec<_>>>()
                    .map(|texts| texts.join(","))
            }
            _ => None,
        };
        let Some(text) = text else {
            let expected = (setting.expected)(options);
            let problem = format!("{place}: {name} is of another kind, and must be {expected}");
            return problems.push(problem);
        };
        set(options, setting, &text, place, problems);
    }

    /// A place for people: file, line and column, from 1.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::settings::Shown;

    fn configure(server: Server, file: &str, variables: &[(&str, &str)]) -> Result<Server, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, file).unwrap();
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let configured = server.configured_by(Some(&path), variables);
        let place = format!("{}/", folder.path().display());
        configured.map_err(|status| {
            assert_eq!(status.code(), Code::InvalidArgument);
            status.message().replace(&place, "")
        })
    }

    fn error(file: &str, variables: &[(&str, &str)]) -> String {
        configure(Server::builder(), file, variables).unwrap_err()
    }

    #[test]
    fn variables_win_over_the_file_which_wins_over_what_was_set_before() {
        let before = Server::builder()
            .shutdown_timeout(Duration::from_secs(1))
            .lame_duck_time(Duration::from_secs(1))
            .max_concurrent_streams(1);
        let file = "[server]\nlame_duck_time = '2s'\nmax_concurrent_streams = 2";
        let variables = [("WIRELOOM_SERVER_MAX_CONCURRENT_STREAMS", "3")];
        let options = configure(before, file, &variables).unwrap().options;
        assert_eq!(options.shutdown_timeout, Duration::from_secs(1));
        assert_eq!(options.lame_duck_time, Duration::from_secs(2));
        assert_eq!(options.max_concurrent_streams, 3);
    }

    #[test]
    fn what_is_set_after_the_configuration_wins_and_is_shown_as_such() {
        let file = "[server]\nlame_duck_time = '2s'\nshutdown_timeout = '2s'";
        let variables = [("WIRELOOM_SERVER_MAX_RECEIVE_MESSAGE_SIZE", "1MiB")];
        let server = configure(Server::builder(), file, &variables).unwrap();
        let shown = Shown(&server.shutdown_timeout(Duration::ZERO).options).to_string();
        for part in [
            "lame_duck_time=2s (",
            "wireloom.toml:2:1)",
            "max_receive_message_size=1048576 (WIRELOOM_SERVER_MAX_RECEIVE_MESSAGE_SIZE)",
            "shutdown_timeout=0ns (code)",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_file_has_lists_where_a_variable_has_commas() {
        let file = "[server]\nlisten = ['127.0.0.1:0', 'unix:/run/a.sock']";
        let listen = |server: Server| server.options.listen;
        let configured = configure(Server::builder(), file, &[]).unwrap();
        assert_eq!(listen(configured), ["127.0.0.1:0", "unix:/run/a.sock"]);
        let variables = [("WIRELOOM_SERVER_LISTEN", "127.0.0.1:1,[::1]:1")];
        let configured = configure(Server::builder(), file, &variables).unwrap();
        assert_eq!(listen(configured), ["127.0.0.1:1", "[::1]:1"]);
        for file in [
            "[server]\nlisten = [1]",
            "[server]\nlisten = []",
            "[server]\nkeepalive = ['1h']",
        ] {
            assert!(error(file, &[]).contains("must be"), "{file}");
        }
    }

    #[test]
    fn the_rest_of_the_file_is_the_generator_s() {
        let file = "[generate]\nprotos = ['a.proto']\n[methods.'a.B/C']\ntimeout = '2s'";
        let _server = configure(Server::builder(), file, &[]).unwrap();
    }

    #[test]
    fn all_that_is_wrong_has_a_place_and_says_what_must_be() {
        let file = "[server]\nshutdown_timeout = 30\nmax_concurrent_stream = 1\n";
        let variables = [("WIRELOOM_SERVER_RUNTIMES", "many")];
        assert_eq!(
            error(file, &variables),
            "wireloom.toml:2:1: shutdown_timeout is \"30\", and must be a duration such as \"30s\", \"1.5s\", \
             \"250ms\", \"5m\" or \"2h\", or \"unlimited\"\n\
             wireloom.toml:3:1: [server] has no key max_concurrent_stream: did you mean max_concurrent_streams?\n\
             WIRELOOM_SERVER_RUNTIMES: runtimes is \"many\", and must be \"current\", \"per-core\" or a number of threads"
        );
    }

    #[test]
    fn of_sizes_alone_it_is_said_that_they_have_units() {
        assert_eq!(
            error(
                "[server]\nmax_connections = '1k'\nmax_unsent_bytes = '1k'\n",
                &[]
            ),
            "wireloom.toml:2:1: max_connections is \"1k\", and must be a whole number, or \"unlimited\"\n\
             wireloom.toml:3:1: max_unsent_bytes is \"1k\", and must be a number of bytes such as 4194304, \"4096KiB\" or \
             \"4MiB\", or \"unlimited\""
        );
    }

    #[test]
    fn what_is_no_toml_or_no_table_has_a_place() {
        assert!(error("a = 1\n[server", &[]).starts_with("wireloom.toml:2:8: this is no TOML"));
        assert_eq!(
            error("server = 1", &[]),
            "wireloom.toml:1:1: server must be a table"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let missing = Path::new("/nowhere/wireloom.toml");
        let status = Server::builder().configured_by(Some(missing), std::iter::empty());
        let status = status.unwrap_err();
        assert!(
            status
                .message()
                .starts_with("cannot read /nowhere/wireloom.toml"),
            "{status}"
        );
    }

    #[test]
    fn variables_are_suspect_that_are_like_those_of_settings() {
        let suggestion = Some("did you mean WIRELOOM_SERVER_SHUTDOWN_TIMEOUT?".to_owned());
        assert_eq!(meant_by("WIRELOOM_SHUTDOWN_TIMEOUT"), suggestion);
        assert_eq!(meant_by("WIRELOOM_SERVER_SHUTDOWN_TIME"), suggestion);
        assert!(meant_by("WIRELOOM_SERVER_X").is_some());
        for other in [
            "WIRELOOM_BLESS",
            "WIRELOOM_CONFIG",
            "WIRELOOM_NODE_MODULES",
            "PATH",
        ] {
            assert_eq!(meant_by(other), None);
        }
    }
}
