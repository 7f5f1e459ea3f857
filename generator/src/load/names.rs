//! What to do about a name that is not defined: what to import, or which name was meant.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto};
use protox::file::File;

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

/// The types that fields of a file may have.
pub(super) struct Types {
    /// The package of the file.
    package: String,
    /// The full names of the messages and enums, and the names of the scalars.
    names: Vec<String>,
}

const SCALARS: [&str; 15] = [
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32",
    "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes",
];

/// The types of a file and of what it imports, the texts being those of the files by their names.
pub(super) fn types(file: &str, texts: &BTreeMap<String, Source>) -> Option<Types> {
    let descriptor = |name: &str| {
        let known = || {
            Some(
                DescriptorPool::global()
                    .get_file_by_name(name)?
                    .file_descriptor_proto()
                    .clone(),
            )
        };
        match texts.get(name) {
            Some(source) => {
                let file = File::from_source(name, source.text()).ok()?;
                Some(file.file_descriptor_proto().clone())
            }
            None => known(),
        }
    };
    let file = descriptor(file)?;
    let mut names: Vec<String> = SCALARS.map(str::to_owned).into();
    collect(&file, &mut names);
    let mut imports = file.dependency.clone();
    let mut done = 0;
    while let Some(import) = imports.get(done).and_then(|name| descriptor(name)) {
        collect(&import, &mut names);
        let public = import.public_dependency.iter();
        let public = public.filter_map(|at| import.dependency.get(usize::try_from(*at).ok()?));
        for name in public {
            if !imports.contains(name) {
                imports.push(name.clone());
            }
        }
        done += 1;
    }
    Some(Types {
        package: file.package().to_owned(),
        names,
    })
}

/// Adds the full names of the messages and enums of a file.
fn collect(file: &FileDescriptorProto, names: &mut Vec<String>) {
    fn add(scope: &str, message: &DescriptorProto, names: &mut Vec<String>) {
        let map_entry = message
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry());
        if map_entry {
            return;
        }
        let name = join(scope, message.name());
        message
            .nested_type
            .iter()
            .for_each(|inner| add(&name, inner, names));
        names.extend(message.enum_type.iter().map(|of| join(&name, of.name())));
        names.push(name);
    }
    let package = file.package();
    file.message_type
        .iter()
        .for_each(|message| add(package, message, names));
    names.extend(file.enum_type.iter().map(|of| join(package, of.name())));
}

fn join(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        _ => format!("{scope}.{name}"),
    }
}

impl Types {
    /// What to do about a type that is not defined, if there is one like it.
    pub(super) fn like(&self, unknown: &str) -> Option<String> {
        let did_you_mean = |name: &str| format!("did you mean `{name}`?");
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let package = format!("{}.", self.package);
        let names: Vec<&str> = self
            .names
            .iter()
            .map(|name| name.strip_prefix(&package).unwrap_or(name))
            .collect();
        let unknown = unknown.trim_start_matches('.');
        let same = names.iter().find(|name| last(name) == last(unknown));
        if let Some(name) = same {
            return Some(did_you_mean(name));
        }
        let known = well_known();
        if let Some((name, file)) = known
            .iter()
            .find(|(name, _)| name[WELL_KNOWN.len()..] == *unknown)
        {
            return Some(format!("did you mean `{name}`? {}", import(file)));
        }
        if let Some(name) = suggest::nearest(unknown, names.iter().copied()) {
            return Some(did_you_mean(name));
        }
        let lasts: Vec<String> = names.iter().map(|name| last(name)).collect();
        let near = suggest::nearest(&last(unknown), lasts.iter().map(String::as_str))?;
        let at = lasts.iter().position(|name| name == near)?;
        names.get(at).map(|name| did_you_mean(name))
    }
}
