//! Load: `.proto` files, or a descriptor set, to a descriptor pool.
//!
//! Custom options live only in the raw bytes of descriptors, so what comes out is a pool that was made from those: a
//! round trip through `prost_types::FileDescriptorSet` would lose them.

mod descriptor_set;
mod imports;
mod inputs;
mod names;
mod problem;
mod protoc;
mod protox;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, FileDescriptor};

use crate::error::Error;
use crate::source::{Columns, Source};
use crate::syntax::Written;

/// The name that protos import the options by.
pub(crate) const OPTIONS_NAME: &str = "wireloom/options.proto";
/// The text of `wireloom/options.proto`.
pub(crate) const OPTIONS_TEXT: &str = include_str!("../proto/wireloom/options.proto");

/// What requests are held to, as published: the names that protos import it by, and the texts.
pub(crate) const RULES: [(&str, &str); 2] = [
    (
        "buf/validate/validate.proto",
        include_str!("../proto/buf/validate/validate.proto"),
    ),
    (
        "google/api/field_behavior.proto",
        include_str!("../proto/google/api/field_behavior.proto"),
    ),
];

/// The protos that are imported without an include path: the names that they are imported by, and their texts.
///
/// Compilers of other languages do not have them; `wireloom protos export DIR` writes them to a folder.
pub fn protos() -> impl Iterator<Item = (&'static str, &'static str)> {
    [(OPTIONS_NAME, OPTIONS_TEXT)].into_iter().chain(RULES)
}

/// What to do about a proto of an edition, which neither prost-reflect nor prost-build knows.
const NO_EDITIONS: &str =
    "editions are not supported yet: write `syntax = \"proto3\";`, or \"proto2\"";

/// What to load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The files, or folders of files, to generate code for; with a descriptor set, none means all of it.
    pub(crate) protos: Vec<PathBuf>,
    /// Those of them that `wireloom.toml` lists, as it writes them.
    pub(crate) listed: BTreeMap<PathBuf, Written<String>>,
    /// The folders that imports are looked up in, in this order; none means the folders of the protos.
    pub(crate) includes: Vec<PathBuf>,
    /// What reads the files.
    pub(crate) compiler: Compiler,
}

/// What turns protos into descriptors.
#[derive(Clone, Debug, Default)]
pub(crate) enum Compiler {
    /// The compiler that is built in.
    #[default]
    Protox,
    /// The `protoc` of this path.
    Protoc(PathBuf),
    /// Nothing: the descriptors are in this file.
    DescriptorSet(PathBuf),
}

/// Descriptors, with custom options and source information.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Every file, imports included.
    pub(crate) pool: DescriptorPool,
    /// The names of the files in the pool to generate code for, imports before what imports them.
    pub(crate) generate: Vec<String>,
    /// Every file that was read, and every folder that was listed.
    pub(crate) read: Vec<PathBuf>,
    /// The texts of the files in the pool, by their names in it, where they are at hand.
    pub(crate) texts: BTreeMap<String, Source>,
    /// How the descriptors count columns.
    pub(crate) columns: Columns,
}

impl Loaded {
    /// The files to generate code for.
    pub(crate) fn generated_files(&self) -> impl Iterator<Item = FileDescriptor> {
        self.generate
            .iter()
            .filter_map(|name| self.pool.get_file_by_name(name))
    }
}

/// Loads descriptors.
///
/// # Errors
///
/// If there is nothing to load, a file cannot be read, or a proto is wrong; all wrong protos are reported.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Error> {
    match &sources.compiler {
        Compiler::Protox => protox::load(sources),
        Compiler::Protoc(protoc) => protoc::load(protoc, sources),
        Compiler::DescriptorSet(path) => descriptor_set::load(path, sources),
    }
}

/// Of the files in a pool, the ones to generate code for: `names` (or all) and all that they import, but for the ones
/// that the runtime has already.
fn to_generate(pool: &DescriptorPool, names: Option<&[String]>) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    let mut todo: Vec<FileDescriptor> = match names {
        Some(names) => names
            .iter()
            .filter_map(|name| pool.get_file_by_name(name))
            .collect(),
        None => pool.files().collect(),
    };
    while let Some(file) = todo.pop() {
        if wanted.insert(file.name().to_owned()) {
            todo.extend(file.dependencies());
        }
    }
    let built_in = |name: &str| {
        protos().any(|(carried, _)| carried == name) || name.starts_with("google/protobuf/")
    };
    pool.files()
        .map(|file| file.name().to_owned())
        .filter(|name| wanted.contains(name) && !built_in(name))
        .collect()
}

/// The path of a file in a folder, as people would write it.
fn in_folder(folder: &Path, name: &str) -> PathBuf {
    match folder.to_str() {
        Some(".") => PathBuf::from(name),
        _ => folder.join(name),
    }
}

/// The text of a file that descriptors were made of.
fn read_source(path: &Path) -> std::io::Result<Source> {
    Ok(Source::new(
        path.display().to_string(),
        std::fs::read_to_string(path)?,
    ))
}

#[cfg(test)]
mod tests;
