//! The names of settings, in files and variables.

use super::{SETTINGS, Setting};
use crate::server::options::Options;

/// Names that set several settings at once.
const OF_SEVERAL: &[(&str, &[&str])] = &[(
    "max_message_size",
    &["max_receive_message_size", "max_send_message_size"],
)];

/// The settings that `name` is for; none for an unknown one.
pub(super) fn settings_of(name: &str) -> Vec<&'static Setting<Options>> {
    let several = OF_SEVERAL.iter().find(|(of, _)| *of == name);
    let settings = SETTINGS.iter();
    let settings = settings.filter(|setting| match several {
        Some((_, names)) => names.contains(&setting.name),
        None => setting.name == name,
    });
    settings.collect()
}

pub(super) fn is_of_several(name: &str) -> bool {
    OF_SEVERAL.iter().any(|(of, _)| *of == name)
}

/// All of them, in order.
pub(super) fn all() -> Vec<&'static str> {
    let single = SETTINGS.iter().map(|setting| setting.name);
    let several = OF_SEVERAL.iter().map(|(name, _)| *name);
    let mut names: Vec<_> = single.chain(several).collect();
    names.sort_unstable();
    names
}
