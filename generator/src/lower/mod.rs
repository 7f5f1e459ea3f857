//! Lower: descriptors, options and configuration to the model. Every decision is taken here.

mod collisions;
pub(crate) mod docs;
mod messages;
mod names;
mod notes;
mod options;
mod places;
mod policy;
mod rules;
mod services;
mod settings;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;

use prost_reflect::FileDescriptor;

use crate::config::Config;
use crate::error::Error;
use crate::load::Loaded;
use crate::model::{ChannelConfig, Model, Package};
use crate::service_config::ServiceConfig;
use collisions::{Idents, Item, Kind};
use places::Places;
use services::Lowering;
use settings::Settings;

/// Lowers what was loaded to the model.
///
/// # Errors
///
/// If a policy may not be, names collide in Rust, or the configuration names what is not there. All of those are
/// reported.
pub(crate) fn lower(loaded: &Loaded, config: &Config) -> Result<Model, Error> {
    let files: Vec<FileDescriptor> = loaded.generated_files().collect();
    let mut errors = Vec::new();
    let settings = Settings::new(config, &files, &mut errors);
    let mut lowering = Lowering {
        generate: &config.generate,
        settings,
        idents: Idents::default(),
        errors,
    };

    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for file in &files {
        let places = Places::new(loaded, file);
        let name = file.package_name();
        let modules = names::modules(name);
        claim_package(name, &modules, &places, &mut lowering.idents);
        messages::claim(file, &modules, &places, &mut lowering.idents);

        let services = file
            .services()
            .map(|service| lowering.service(&service, &modules, &places));
        let services: Vec<_> = services.collect();
        let package = packages.entry(name.to_owned()).or_insert_with(|| Package {
            proto_name: name.to_owned(),
            rust_path: modules,
            services: Vec::new(),
        });
        package.services.extend(services);
    }

    let errors = lowering
        .errors
        .into_iter()
        .chain(lowering.idents.into_errors());
    match Error::all(errors) {
        Some(error) => Err(error),
        None => Ok(Model {
            packages: packages.into_values().collect(),
            channel_configs: channel_configs(&config.service_configs),
            notes: notes::of_service_configs(&config.service_configs, &files),
        }),
    }
}

/// What service configs say that no method can take.
fn channel_configs(configs: &[ServiceConfig]) -> Vec<ChannelConfig> {
    let configs = configs.iter().map(|config| {
        let policies = &config.load_balancing_policies;
        let first = policies.first();
        ChannelConfig {
            file: config.file.clone(),
            load_balancing_policies: policies.iter().map(|policy| policy.value.clone()).collect(),
            load_balancing_line: first.map_or(0, |policy| policy.spot.place.line),
            health_check_service: config.health_check_service.clone(),
        }
    });
    let says_something = |config: &ChannelConfig| {
        !config.load_balancing_policies.is_empty() || config.health_check_service.is_some()
    };
    configs.filter(says_something).collect()
}

/// Claims the modules that lead to a package.
fn claim_package(package: &str, modules: &[String], places: &Places<'_>, idents: &mut Idents) {
    const PACKAGE: i32 = 2;
    let spot = places.item(&[PACKAGE]);
    for (depth, module) in modules.iter().enumerate() {
        let item = Item::new(format!("package `{package}`"), &spot).package();
        idents.claim(&modules[..depth], Kind::Type, module, item);
    }
}
