//! What to do about a name that is not defined: what to import, or which name was meant.

use prost_reflect::DescriptorPool;

use crate::load::OPTIONS_NAME;
use crate::source::Source;
use crate::suggest;

/// The package of the well-known types.
const WELL_KNOWN: &str = "google.protobuf.";

/// What to do about a name of the packages that need no include folder, undefined in a source.
pub(super) fn built_in(name: &str, source: Option<&Source>) -> Option<String> {
    let name = name.trim_start_matches('.');
    if name.starts_with("wireloom.") {
        let imported = source.is_some_and(|source| source.text().contains(OPTIONS_NAME));
        return Some(match imported {
            false => import(OPTIONS_NAME),
            true => "the options are `(wireloom.service)`, for services, and `(wireloom.method)`, for methods".to_owned(),
        });
    }
    if !name.starts_with(WELL_KNOWN) {
        return None;
    }
    let known = well_known();
    if let Some((_, file)) = known.iter().find(|(known, _)| known == name) {
        return Some(import(file));
    }
    // The package is the same in all: the rest must be alike.
    let names = known.iter().map(|(known, _)| &known[WELL_KNOWN.len()..]);
    let near = suggest::nearest(&name[WELL_KNOWN.len()..], names)?;
    Some(format!("did you mean `{WELL_KNOWN}{near}`?"))
}

/// Says to import a file that needs no include folder.
fn import(file: &str) -> String {
    format!("add `import \"{file}\";`: it needs no include folder")
}

/// The well-known types and the files that define them.
fn well_known() -> Vec<(String, String)> {
    let pool = DescriptorPool::global();
    let messages = pool.all_messages().map(|message| {
        let file = message.parent_file().name().to_owned();
        (message.full_name().to_owned(), file)
    });
    let enums = pool.all_enums().map(|of| {
        let file = of.parent_file().name().to_owned();
        (of.full_name().to_owned(), file)
    });
    messages
        .chain(enums)
        .filter(|(name, _)| name.starts_with(WELL_KNOWN))
        .collect()
}
