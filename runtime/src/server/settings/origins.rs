//! Where settings come from that were not set in code.

use std::collections::BTreeMap;

use super::{name_of_limits, show_limits};
use crate::server::Limits;

/// Where values come from, by the names of their settings.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Origins(BTreeMap<String, Origin>);

#[derive(Clone, Debug)]
struct Origin {
    /// The value as it was set: it may have been set in code since.
    value: String,
    from: String,
}

impl Origins {
    #[cfg_attr(not(any(test, feature = "config")), allow(dead_code))]
    pub(super) fn insert(&mut self, name: impl Into<String>, value: String, from: String) {
        self.0.insert(name.into(), Origin { value, from });
    }

    /// Where `value` is from, unless that is code.
    pub(in crate::server) fn of(&self, name: &str, value: &str) -> Option<&str> {
        let origin = self.0.get(name)?;
        (origin.value == value).then_some(&origin.from)
    }

    /// Where the limits of a method or a service are from, unless that is code.
    pub(in crate::server) fn of_limits(&self, method: &str, limits: &Limits) -> Option<&str> {
        self.of(&name_of_limits(method), &show_limits(limits))
    }
}
