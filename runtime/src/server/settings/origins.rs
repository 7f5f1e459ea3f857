//! Where settings come from that were not set in code.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    name_of_limits, show_limits,
    value::{self, Names},
};
use crate::server::Limits;

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Origins {
    /// By the names of their settings.
    values: BTreeMap<String, Origin>,
    /// What was read, if anything was to be.
    pub(super) sources: Option<Sources>,
}

/// What a server was configured by.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// The path of the file, or where there would have been one.
    pub(super) file: PathBuf,
    pub(super) has_file: bool,
    /// The names of the variables that set something.
    pub(super) variables: Vec<String>,
}

#[derive(Clone, Debug)]
struct Origin {
    /// The value as it was set: it may have been set in code since.
    value: String,
    from: String,
}

impl Origins {
    #[cfg_attr(not(any(test, feature = "config")), allow(dead_code))]
    pub(super) fn insert(&mut self, name: impl Into<String>, value: String, from: String) {
        self.values.insert(name.into(), Origin { value, from });
    }

    /// Where `value` is from, unless that is code.
    pub(in crate::server) fn of(&self, name: &str, value: &str) -> Option<&str> {
        let origin = self.values.get(name)?;
        (origin.value == value).then_some(&origin.from)
    }

    /// Where the limits of a method or a service are from, unless that is code.
    pub(in crate::server) fn of_limits(&self, method: &str, limits: &Limits) -> Option<&str> {
        self.of(&name_of_limits(method), &show_limits(limits))
    }

    /// Where the names of what is exempt from limits are from, unless that is code.
    pub(in crate::server) fn of_exempt(&self, names: &Vec<String>) -> Option<&str> {
        self.of("exempt_from_limits", &value::show::<Names, _>(names))
    }
}

impl Sources {
    pub(super) fn log(&self) {
        let file = self.file.display();
        let variables = self.variables.join(", ");
        match self.has_file {
            true => {
                tracing::info!(target: "wireloom", %file, variables, "configured by a file");
            }
            false => {
                tracing::info!(target: "wireloom", %file, variables, "there is no configuration file");
            }
        }
    }
}
