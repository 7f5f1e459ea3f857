//! What `wireloom.toml` and service configs say, found for the packages, services and methods that there are.

use std::collections::BTreeMap;

use prost_reflect::FileDescriptor;

use crate::config::{Config, Scope};
use crate::error::Error;
use crate::lower::policy::{self, Layer, Spelling};
use crate::model::{MethodPolicy, Origin};
use crate::service_config::ServiceConfig;
use crate::source::Spot;
use crate::suggest;
use crate::syntax::{Policy, Written};

/// The settings of a configuration, by the names they are for.
pub(super) struct Settings<'a> {
    packages: BTreeMap<&'a str, Setting<'a>>,
    services: BTreeMap<&'a str, Setting<'a>>,
    methods: BTreeMap<&'a str, Setting<'a>>,
    service_configs: Vec<ServiceLayers<'a>>,
}

/// A service config, with the policies of its entries judged.
struct ServiceLayers<'a> {
    config: &'a ServiceConfig,
    /// One for each entry.
    layers: Vec<Layer>,
    /// What holds for the server, and so for all methods.
    of_server: Layer,
}

struct Setting<'a> {
    scope: &'a Scope,
    layer: Layer,
}

impl<'a> Settings<'a> {
    /// Judges a configuration: its policies, and, unless it is narrowed, whether what it names is in the protos.
    pub(super) fn new(
        config: &'a Config,
        files: &[FileDescriptor],
        errors: &mut Vec<Error>,
    ) -> Self {
        for method in &config.methods {
            policy::refuse_throttling(&method.policy, errors);
        }
        let services: Vec<_> = files.iter().flat_map(FileDescriptor::services).collect();
        let packages = files.iter().map(|file| file.package_name().to_owned());
        let service_names = services
            .iter()
            .map(|service| service.full_name().to_owned());
        let methods = services.iter().flat_map(|service| service.methods());
        let method_names =
            methods.map(|method| path(method.parent_service().full_name(), method.name()));
        if !config.narrowed {
            refuse_unknown(&config.packages, "package", packages.collect(), errors);
            refuse_unknown(&config.services, "service", service_names.collect(), errors);
            refuse_unknown(&config.methods, "method", method_names.collect(), errors);
        }
        Self {
            packages: by_name(&config.packages, errors),
            services: by_name(&config.services, errors),
            methods: by_name(&config.methods, errors),
            service_configs: config
                .service_configs
                .iter()
                .map(|config| ServiceLayers::new(config, errors))
                .collect(),
        }
    }

    /// The Rust name that is set for a service.
    pub(super) fn service_name(&self, service: &str) -> Option<&'a Written<String>> {
        self.services.get(service)?.scope.rust_name.as_ref()
    }

    /// The Rust name that is set for a method.
    pub(super) fn method_name(&self, service: &str, method: &str) -> Option<&'a Written<String>> {
        self.methods
            .get(path(service, method).as_str())?
            .scope
            .rust_name
            .as_ref()
    }

    /// Lays what is set for a method over its policy: for its package, then its service, then itself, then in each of the
    /// service configs.
    pub(super) fn over(
        &self,
        policy: &mut MethodPolicy,
        package: &str,
        service: &str,
        method: &str,
    ) {
        let layers = [
            self.packages.get(package),
            self.services.get(service),
            self.methods.get(path(service, method).as_str()),
        ];
        for setting in layers.into_iter().flatten() {
            setting.layer.over(policy);
        }
        if let Some(config) = self.throttling_for(service) {
            config.of_server.over(policy);
        }
        for config in &self.service_configs {
            config.over(policy, service, method);
        }
    }

    /// The service config whose throttling holds for a service: of those that have some, the last that is for the service.
    /// One that names other services alone may yet be for the same server, and holds where none names this one.
    fn throttling_for(&self, service: &str) -> Option<&ServiceLayers<'a>> {
        let configs = self.service_configs.iter().rev();
        let mut throttling = configs.filter(|layers| layers.config.retry_throttling.is_some());
        let last = throttling.clone().next();
        throttling
            .find(|layers| layers.config.is_for(service))
            .or(last)
    }
}

impl<'a> ServiceLayers<'a> {
    fn new(config: &'a ServiceConfig, errors: &mut Vec<Error>) -> Self {
        let mut judge = |policy: &Policy, entry: &str| {
            policy::judge(policy, Spelling::ServiceConfig(entry), origin, errors)
        };
        let layers = config.methods.iter();
        Self {
            layers: layers
                .map(|entry| judge(&entry.policy, &entry.key))
                .collect(),
            of_server: judge(
                &Policy {
                    retry_throttling: config.retry_throttling.clone(),
                    ..Policy::default()
                },
                "",
            ),
            config,
        }
    }

    /// Lays the entry that is for a method over its policy. Entries do not add up: the most specific is the whole answer.
    fn over(&self, policy: &mut MethodPolicy, service: &str, method: &str) {
        let Some(at) = self.config.method(service, method) else {
            return;
        };
        let entry = &self.config.methods[at];
        self.layers[at].over(policy);
        let notes = entry.notes.iter();
        policy.notes.extend(notes.map(|note| {
            let place = &note.spot.place;
            format!("{}, {}:{}", note.value, place.file, place.line)
        }));
        if self.config.repeats(at) {
            let what = format!("`{}` is the first of several entries", entry.key);
            let note = format!("{what} for the same name, and counts, {}", self.config.file);
            policy.notes.push(note);
        }
    }
}

fn origin(spot: &Spot, key: String) -> Origin {
    Origin::ServiceConfig {
        file: spot.place.file.clone(),
        line: spot.place.line,
        key,
    }
}

/// The name of a method in `wireloom.toml` and for `wireloom explain`.
pub(super) fn path(service: &str, method: &str) -> String {
    format!("{service}/{method}")
}

/// Refuses scopes for what is not in the protos.
fn refuse_unknown(scopes: &[Scope], kind: &str, known: Vec<String>, errors: &mut Vec<Error>) {
    for scope in scopes {
        let name = scope.name.value.as_str();
        if !known.iter().any(|known| known == name) {
            let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
            known.sort_unstable();
            known.dedup();
            let error = scope
                .name
                .spot
                .error(format!("there is no {kind} `{name}` in the protos"), "");
            errors.push(error.with_help(suggest::help(name, known, kind)));
        }
    }
}

/// The scopes by their names, with their policies judged.
fn by_name<'a>(scopes: &'a [Scope], errors: &mut Vec<Error>) -> BTreeMap<&'a str, Setting<'a>> {
    let mut settings = BTreeMap::new();
    for scope in scopes {
        let origin = |spot: &Spot, _| Origin::Config {
            file: spot.place.file.clone(),
            line: spot.place.line,
            key: scope.key.clone(),
        };
        let layer = policy::judge(&scope.policy, Spelling::Options, origin, errors);
        settings.insert(scope.name.value.as_str(), Setting { scope, layer });
    }
    settings
}
