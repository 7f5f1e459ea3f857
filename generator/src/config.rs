//! `wireloom.toml`: what to generate, and policies per package, service and method.
//!
//! The file is read by hand rather than with serde's derive, so that every error has a place and a suggestion, and all
//! errors are reported at once. Whether what it names exists in the protos, `lower` knows.

mod server;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::descriptors::Comments;
use crate::error::Error;
use crate::service_config::ServiceConfig;
use crate::source::{Source, Spot};
use crate::syntax::{Authorization, HedgingPolicy, Policy, RetryPolicy, RetryThrottling, Written};
use table::Table;

/// Which stubs are rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stubs {
    /// Wireloom's own clients and servers.
    #[default]
    Wireloom,
    /// tonic-build's clients and servers, on Wireloom's channel: for code written for tonic.
    Tonic,
}

/// What a `wireloom.toml` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The table `[generate]`.
    pub(crate) generate: Generate,
    /// Whether other protos are read than the file lists: it may then name what they lack.
    pub(crate) narrowed: bool,
    /// The tables `[packages."name"]`.
    pub(crate) packages: Vec<Scope>,
    /// The tables `[services."package.Name"]`.
    pub(crate) services: Vec<Scope>,
    /// The tables `[methods."package.Service/Name"]`.
    pub(crate) methods: Vec<Scope>,
    /// What the files of `generate.service_configs` say, in their order.
    pub(crate) service_configs: Vec<ServiceConfig>,
}

/// What to read and what to write; the paths are relative to the working directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generate {
    pub(crate) protos: Vec<PathBuf>,
    /// The protos as the file writes them, by their paths.
    pub(crate) listed: BTreeMap<PathBuf, Written<String>>,
    pub(crate) includes: Vec<PathBuf>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) templates: Option<PathBuf>,
    pub(crate) stubs: Option<Stubs>,
    pub(crate) client: Option<bool>,
    pub(crate) server: Option<bool>,
    pub(crate) mocks: Option<bool>,
    pub(crate) descriptors: Option<bool>,
    pub(crate) descriptor_comments: Option<bool>,
    pub(crate) descriptor_set: Option<PathBuf>,
    pub(crate) protoc: Option<PathBuf>,
    /// gRPC service configs; what a later one says wins.
    pub(crate) service_configs: Vec<PathBuf>,
    /// Where the file names what else is read: the service configs, the templates and the descriptor set.
    pub(crate) named: BTreeMap<PathBuf, Spot>,
}

/// What is set for one package, service or method.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The name that the table is for.
    pub(crate) name: Written<String>,
    /// The table, as the file spells it (`methods."helloworld.Greeter/SayHello"`).
    pub(crate) key: String,
    /// The name in Rust; packages have none.
    pub(crate) rust_name: Option<Written<String>>,
    /// The policy.
    pub(crate) policy: Policy,
}

impl Config {
    /// Reads a `wireloom.toml`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no TOML, or has keys or values that it may not have; all of those are reported.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::new(format!("cannot read `{}`", path.display())).with_cause(error)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&Source::new(path.display().to_string(), text), folder)
    }

    /// Parses the text of a `wireloom.toml` in a folder.
    pub(crate) fn parse(source: &Source, folder: &Path) -> Result<Self, Error> {
        let mut errors = Vec::new();
        let config = Table::parse(source, &mut errors)
            .map(|file| Self::from_file(file, folder, &mut errors));
        // Tables are read one after the other, wherever they stand.
        errors.sort_by_key(Error::position);
        match Error::all(errors) {
            Some(error) => Err(error),
            None => Ok(config.unwrap_or_default()),
        }
    }

    fn from_file(mut file: Table<'_>, folder: &Path, errors: &mut Vec<Error>) -> Self {
        let generate = file.table("generate", errors);
        if let Some(table) = file.table("server", errors) {
            server::check(table, errors);
        }
        let config = Self {
            generate: generate
                .map(|table| Generate::from_table(table, folder, errors))
                .unwrap_or_default(),
            narrowed: false,
            packages: scopes(&mut file, "packages", errors),
            services: scopes(&mut file, "services", errors),
            methods: scopes(&mut file, "methods", errors),
            service_configs: Vec::new(),
        };
        file.finish(errors);
        config
    }
}

impl Generate {
    fn from_table(mut table: Table<'_>, folder: &Path, errors: &mut Vec<Error>) -> Self {
        let mut path = |table: &mut Table<'_>, key| {
            let path = table.string(key, errors)?;
            Some((folder.join(&path.value), path.spot))
        };
        let out = path(&mut table, "out").map(|(path, _)| path);
        let templates = path(&mut table, "templates");
        let descriptor_set = path(&mut table, "descriptor_set");
        // The name of a program without a folder is looked up in PATH.
        let protoc =
            table
                .string("protoc", errors)
                .map(|protoc| match protoc.value.contains(['/', '\\']) {
                    true => folder.join(protoc.value),
                    false => PathBuf::from(protoc.value),
                });
        let mut paths = |key| -> Vec<(PathBuf, Written<String>)> {
            table
                .strings(key, errors)
                .into_iter()
                .map(|path| (folder.join(&path.value), path))
                .collect()
        };
        let (protos, includes) = (paths("protos"), paths("includes"));
        let service_configs = paths("service_configs");
        let stubs = table
            .string("stubs", errors)
            .and_then(|stubs| match stubs.value.as_str() {
                "wireloom" => Some(Stubs::Wireloom),
                "tonic" => Some(Stubs::Tonic),
                other => {
                    let error = stubs
                        .spot
                        .error(format!("there are no stubs `{other}`"), "");
                    errors.push(error.with_help("`stubs` is \"wireloom\" or \"tonic\""));
                    None
                }
            });
        let client = table.boolean("client", errors).map(|client| client.value);
        let server = table.boolean("server", errors).map(|server| server.value);
        let mocks = table.boolean("mocks", errors);
        let descriptors = table.boolean("descriptors", errors);
        let comments = table.boolean("descriptor_comments", errors);
        if descriptor_set.is_some() && protoc.is_some() {
            let error = table
                .spot()
                .error("`descriptor_set` and `protoc` exclude each other", "");
            errors.push(error.with_help("a descriptor set is read as it is: take one of them out"));
        }
        table.finish(errors);
        let only_paths =
            |paths: &[(PathBuf, _)]| paths.iter().map(|(path, _)| path.clone()).collect();
        let configs = service_configs.iter();
        let configs = configs.map(|(path, written)| (path.clone(), written.spot.clone()));
        let named = configs
            .chain(templates.clone())
            .chain(descriptor_set.clone());
        let generate = Self {
            protos: only_paths(&protos),
            includes: only_paths(&includes),
            listed: protos.into_iter().collect(),
            named: named.collect(),
            out,
            templates: templates.map(|(path, _)| path),
            stubs,
            client,
            server,
            mocks: mocks.as_ref().map(|mocks| mocks.value),
            descriptors: descriptors.map(|descriptors| descriptors.value),
            descriptor_comments: comments.as_ref().map(|comments| comments.value),
            descriptor_set: descriptor_set.map(|(path, _)| path),
            protoc,
            service_configs: only_paths(&service_configs),
        };
        if let (Some(mocks), Some((what, help))) = (mocks, generate.mocks_without_stubs()) {
            errors.push(mocks.spot.error(what, "").with_help(help));
        }
        if let (Some(comments), Some((what, help))) =
            (comments, generate.comments_without_descriptors())
        {
            errors.push(comments.spot.error(what, "").with_help(help));
        }
        generate
    }

    /// The error for a path that the file names and that leads nowhere.
    pub(crate) fn missing(&self, path: &Path) -> Option<Error> {
        let spot = self.named.get(path)?;
        if !matches!(path.try_exists(), Ok(false)) {
            return None;
        }
        let error = spot.error(format!("there is no `{}`", path.display()), "");
        Some(error.with_help("paths are relative to the folder of this file"))
    }

    /// Whether services get mocks.
    pub(crate) fn mocks(&self) -> bool {
        self.mocks == Some(true)
    }

    /// Whether descriptors are embedded, and with what of comments.
    pub(crate) fn embedded(&self) -> Option<Comments> {
        let comments = match self.descriptor_comments {
            Some(true) => Comments::With,
            Some(false) | None => Comments::Without,
        };
        (self.descriptors == Some(true)).then_some(comments)
    }

    /// Why there cannot be comments in descriptors, if they are wanted, and what to do.
    pub(crate) fn comments_without_descriptors(&self) -> Option<(&'static str, &'static str)> {
        let wanted = self.descriptor_comments == Some(true);
        (wanted && self.embedded().is_none()).then_some((
            "`descriptor_comments` needs descriptors",
            "add `descriptors = true`, or take it out",
        ))
    }

    /// Why there cannot be mocks, if they are wanted, and what to do.
    pub(crate) fn mocks_without_stubs(&self) -> Option<(&'static str, &'static str)> {
        let one_side = self.client == Some(false) || self.server == Some(false);
        match self.stubs {
            _ if !self.mocks() => None,
            Some(Stubs::Tonic) => Some((
                "tonic's stubs have no mocks",
                "take out `mocks`, or choose Wireloom's stubs",
            )),
            _ if one_side => Some((
                "mocks need clients and servers",
                "take out `mocks`, or leave neither side out",
            )),
            _ => None,
        }
    }
}

/// The tables of packages, services or methods.
fn scopes(file: &mut Table<'_>, kind: &str, errors: &mut Vec<Error>) -> Vec<Scope> {
    let Some(tables) = file.table(kind, errors) else {
        return Vec::new();
    };
    let tables = tables.tables(errors);
    tables
        .into_iter()
        .map(|(name, mut table)| Scope {
            key: format!("{kind}.\"{}\"", name.value),
            name,
            rust_name: (kind != "packages")
                .then(|| table.string("rust_name", errors))
                .flatten(),
            policy: policy(table, errors),
        })
        .collect()
}

fn policy(mut table: Table<'_>, errors: &mut Vec<Error>) -> Policy {
    let retry = table.table("retry_policy", errors);
    let hedging = table.table("hedging_policy", errors);
    let throttling = table.table("retry_throttling", errors);
    let authorization = table.table("authorization", errors);
    let policy = Policy {
        timeout: table.string("timeout", errors),
        no_timeout: table.boolean("no_timeout", errors),
        retry_policy: retry.map(|table| Written {
            spot: table.spot(),
            value: retry_policy(table, errors),
        }),
        hedging_policy: hedging.map(|table| Written {
            spot: table.spot(),
            value: hedging_policy(table, errors),
        }),
        no_retry: table.boolean("no_retry", errors),
        wait_for_ready: table.boolean("wait_for_ready", errors),
        max_request_message_bytes: table.integer("max_request_message_bytes", errors),
        max_response_message_bytes: table.integer("max_response_message_bytes", errors),
        retry_throttling: throttling.map(|table| Written {
            spot: table.spot(),
            value: retry_throttling(table, errors),
        }),
        authorization: authorization.map(|table| Written {
            spot: table.spot(),
            value: self::authorization(table, errors),
        }),
    };
    table.finish(errors);
    policy
}

fn retry_policy(mut table: Table<'_>, errors: &mut Vec<Error>) -> RetryPolicy {
    let policy = RetryPolicy {
        max_attempts: table.integer("max_attempts", errors),
        initial_backoff: table.string("initial_backoff", errors),
        max_backoff: table.string("max_backoff", errors),
        backoff_multiplier: table.number("backoff_multiplier", errors),
        retryable_status_codes: table.codes("retryable_status_codes", errors),
    };
    table.finish(errors);
    policy
}

fn hedging_policy(mut table: Table<'_>, errors: &mut Vec<Error>) -> HedgingPolicy {
    let policy = HedgingPolicy {
        max_attempts: table.integer("max_attempts", errors),
        hedging_delay: table.string("hedging_delay", errors),
        non_fatal_status_codes: table.codes("non_fatal_status_codes", errors),
    };
    table.finish(errors);
    policy
}

fn retry_throttling(mut table: Table<'_>, errors: &mut Vec<Error>) -> RetryThrottling {
    let throttling = RetryThrottling {
        max_tokens: table.number("max_tokens", errors),
        token_ratio: table.number("token_ratio", errors),
    };
    table.finish(errors);
    throttling
}

fn authorization(mut table: Table<'_>, errors: &mut Vec<Error>) -> Authorization {
    let authorization = Authorization {
        public: table.boolean("public", errors),
        authenticated: table.boolean("authenticated", errors),
        scopes: table.list_of_strings("scopes", errors),
        any_scopes: table.list_of_strings("any_scopes", errors),
        identities: table.list_of_strings("identities", errors),
    };
    table.finish(errors);
    authorization
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Code;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(&Source::new("wireloom.toml", text), Path::new("here"))
    }

    /// The first error, as one line and its help.
    fn error(text: &str) -> (String, String) {
        let error = parse(text).unwrap_err();
        (
            error.to_string(),
            error.help().unwrap_or_default().to_owned(),
        )
    }

    #[test]
    fn errors_are_told_in_the_order_of_the_lines() {
        let text = "[methods.'a.B/C']\ntimeout = 1\n[server]\nx = 1\n[packages.a]\nx = 1\n[generate]\nx = 1\ny = 1";
        let report = format!("{:?}", parse(text).unwrap_err());
        let lines = report.split("wireloom.toml:").skip(1);
        let lines: Vec<_> = lines
            .map(|error| error.split_once(':').unwrap().0)
            .collect();
        assert_eq!(lines, ["2", "4", "6", "8", "9"], "{report}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config =
            parse("[generate]\nprotos = ['a.proto']\nout = 'src/gen'\nstubs = 'tonic'").unwrap();
        assert_eq!(config.generate.protos, [Path::new("here/a.proto")]);
        assert_eq!(
            config.generate.out.as_deref(),
            Some(Path::new("here/src/gen"))
        );
        assert_eq!(config.generate.stubs, Some(Stubs::Tonic));
    }

    #[test]
    fn a_protoc_without_a_folder_is_looked_up_in_path() {
        let config = parse("[generate]\nprotoc = 'protoc'").unwrap();
        assert_eq!(config.generate.protoc.as_deref(), Some(Path::new("protoc")));
    }

    #[test]
    fn a_scope_has_its_policy_and_its_place() {
        let config = parse(
            "[methods.\"a.B/C\"]\nrust_name = 'd'\nretry_policy = { max_attempts = 3, retryable_status_codes = ['ABORTED', 14] }",
        )
        .unwrap();
        let scope = &config.methods[0];
        assert_eq!(scope.key, "methods.\"a.B/C\"");
        assert_eq!(scope.name.spot.place.to_string(), "wireloom.toml:1:10");
        let codes = scope
            .policy
            .retry_policy
            .as_ref()
            .unwrap()
            .value
            .retryable_status_codes
            .as_ref()
            .unwrap();
        let codes: Vec<_> = codes.value.iter().map(|code| code.value.clone()).collect();
        assert_eq!(codes, [Code::Name("ABORTED".to_owned()), Code::Number(14)]);
    }

    #[test]
    fn an_unknown_key_has_a_place_and_a_suggestion() {
        let (what, help) = error("[generate]\ninclude = ['a']");
        assert_eq!(what, "wireloom.toml:2:1: there is no key `include` here");
        assert_eq!(help, "did you mean `includes`?");
    }

    #[test]
    fn what_servers_read_is_left_to_them_but_for_keys_that_none_has() {
        parse("[server]\nshutdown_timeout = '30s'\nlisten = ['a:1']").unwrap();
        let (what, help) = error("[server]\nshutdown_timeuot = '30s'");
        assert_eq!(
            what,
            "wireloom.toml:2:1: there is no key `shutdown_timeuot` here"
        );
        assert_eq!(help, "did you mean `shutdown_timeout`?");
        parse("[server.method_limits.'a.B/C']\nrate_limit = '5/s'").unwrap();
        let (what, help) = error("[server.method_limits.'a.B/C']\nrate_limt = '5/s'");
        assert_eq!(what, "wireloom.toml:2:1: there is no key `rate_limt` here");
        assert_eq!(help, "did you mean `rate_limit`?");
        let (what, _) = error("server = 1");
        assert!(what.starts_with("wireloom.toml:1:10: `server`"), "{what}");
    }

    #[test]
    fn an_unknown_table_has_a_suggestion() {
        let (what, help) = error("[service.\"a.B\"]");
        assert_eq!(what, "wireloom.toml:1:2: there is no key `service` here");
        assert_eq!(help, "did you mean `services`?");
    }

    #[test]
    fn a_wrong_type_has_a_place() {
        let (what, _) = error("[generate]\nclient = 'yes'");
        assert_eq!(
            what,
            "wireloom.toml:2:10: `client` must be true or false, and is a string"
        );
        let (what, _) = error("[generate]\nprotos = ['a', 1]");
        assert_eq!(
            what,
            "wireloom.toml:2:16: each value of `protos` must be a string, and this is an integer"
        );
    }

    #[test]
    fn what_is_no_toml_has_a_place() {
        let (what, _) = error("[generate]\nout =\n");
        assert!(
            what.starts_with("wireloom.toml:2:6: this is no TOML: "),
            "{what}"
        );
    }

    #[test]
    fn all_errors_are_reported() {
        let error = parse("[generate]\nx = 1\nclient = 2\n[packages.a]\ntimeout = 3").unwrap_err();
        assert_eq!(miette::Diagnostic::related(&error).unwrap().count(), 2);
    }

    #[test]
    fn a_package_has_no_rust_name() {
        let (what, _) = error("[packages.a]\nrust_name = 'b'");
        assert_eq!(what, "wireloom.toml:2:1: there is no key `rust_name` here");
    }

    #[test]
    fn comments_need_descriptors() {
        let (what, help) = error("[generate]\ndescriptor_comments = true");
        assert_eq!(
            what,
            "wireloom.toml:2:23: `descriptor_comments` needs descriptors"
        );
        assert_eq!(help, "add `descriptors = true`, or take it out");
    }

    #[test]
    fn stubs_are_known_ones() {
        let (what, help) = error("[generate]\nstubs = 'grpc'");
        assert_eq!(what, "wireloom.toml:2:9: there are no stubs `grpc`");
        assert_eq!(help, "`stubs` is \"wireloom\" or \"tonic\"");
    }
}
