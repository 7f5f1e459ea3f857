//! Protos to models and to errors, from the text of the protos on.

mod errors;
mod items;
mod policies;
mod service_configs;
mod warnings;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config::Config;
use crate::error::Error;
use crate::load::{Sources, load};
use crate::model::{Method, Model};
use crate::source::Source;

/// A folder of protos.
struct Protos {
    folder: TempDir,
}

impl Protos {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    fn lower(&self, toml: &str) -> Result<Model, Error> {
        self.lower_with(&Config::parse(
            &Source::new("wireloom.toml", toml),
            Path::new(""),
        )?)
    }

    fn lower_with(&self, config: &Config) -> Result<Model, Error> {
        let sources = Sources {
            protos: vec![self.folder.path().to_owned()],
            includes: vec![self.folder.path().to_owned()],
            ..Sources::default()
        };
        super::lower(&load(&sources)?, config)
    }

    /// A report without the path of the folder.
    fn relative(&self, report: &str) -> String {
        report.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// Lowers one proto, `a.proto`, of proto3.
fn lower(text: &str) -> Model {
    lower_all(&[("a.proto", &format!("syntax = \"proto3\";{text}"))], "")
}

fn lower_all(files: &[(&str, &str)], toml: &str) -> Model {
    let protos = Protos::new(files);
    protos
        .lower(toml)
        .unwrap_or_else(|error| panic!("{}", protos.relative(&format!("{error:?}"))))
}

/// The whole report of what is wrong with one proto of proto3.
fn report(text: &str) -> String {
    report_all(&[("a.proto", &format!("syntax = \"proto3\";{text}"))], "")
}

fn report_all(files: &[(&str, &str)], toml: &str) -> String {
    let protos = Protos::new(files);
    let error = protos.lower(toml).unwrap_err();
    protos.relative(&format!("{error:?}"))
}

/// The first line of a report.
fn first_line(report: &str) -> &str {
    report.lines().next().unwrap()
}

/// The method of a path such as `a.S/M`.
fn method(model: &Model, path: &str) -> Method {
    let methods = model
        .packages
        .iter()
        .flat_map(|package| &package.services)
        .flat_map(|service| &service.methods);
    let found = methods
        .into_iter()
        .find(|method| method.path.trim_start_matches('/') == path);
    found.unwrap_or_else(|| panic!("no {path}")).clone()
}
