//! Generates Wireloom clients and servers from `.proto` files: for `build.rs`, and for the `wireloom` command.
//!
//! A `build.rs` of one line, with `wireloom-build` in `[build-dependencies]`:
//!
//! ```no_run
//! fn main() -> Result<(), wireloom_build::Error> {
//!     wireloom_build::compile_protos("proto/greeter.proto")
//! }
//! ```
//!
//! and where the crate wants the code, with `wireloom` as its one dependency for it:
//!
//! ```ignore
//! mod pb {
//!     wireloom::include_protos!();
//! }
//! use pb::helloworld::GreeterClient;
//! ```
//!
//! [`builder`] has the rest: several protos, import folders, the project's own templates, tonic's stubs, files that
//! people read rather than `OUT_DIR`, mocks for tests, and `wireloom.toml`, which sets all that for the command too.
//! Neither `protoc` nor anything else need be installed.
//!
//! # What is written
//!
//! A file per protobuf package, named after it (`helloworld.v1.rs`; `_.rs` for files without a package), with its
//! messages as prost-build makes them and the stubs of its services; and `wireloom.rs`, the tree of modules that includes
//! them all. (A package that is called `wireloom` itself is in `wireloom_.rs`.) With [`Builder::descriptors`],
//! `wireloom-descriptors.rs` has the descriptors of them all.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod builder;
mod config;
mod descriptors;
mod emit;
mod error;
mod explain;
mod format;
mod load;
mod lower;
mod messages;
pub mod model;
mod modules;
mod render;
mod service_config;
mod source;
mod suggest;
mod syntax;
mod text_format;
mod tonic_stubs;

use std::path::{Path, PathBuf};

use config::Config;
use descriptors::Comments;
use emit::Files;
use format::Formatter;
use load::Sources;
use model::Package;
use render::Templates;

pub use builder::{Builder, Sides};
pub use config::Stubs;
pub use emit::{Drift, Report};
pub use error::Error;
pub use explain::Explanation;
pub use load::protos;
pub use model::Model;
pub use prost_build;
pub use render::templates;

/// Generates code for a proto and all it imports, in a `build.rs`.
///
/// Imports are looked up in the folder of the proto. The code goes to `OUT_DIR`, and Cargo is told to run the build
/// script again when a file that was read changes. For anything else, see [`builder`].
///
/// # Errors
///
/// If the proto, or anything that it says, is wrong: `main` may return the error, whose `Debug` is a report with
/// the file, line and column, and what to do.
///
/// ```no_run
/// fn main() -> Result<(), wireloom_build::Error> {
///     wireloom_build::compile_protos("proto/greeter.proto")
/// }
/// ```
pub fn compile_protos(proto: impl AsRef<Path>) -> Result<(), Error> {
    let proto = proto.as_ref();
    let folder = match proto.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    builder().proto(proto).include(folder).generate().map(drop)
}

/// Starts to say what to generate, and how.
///
/// ```no_run
/// fn main() -> Result<(), wireloom_build::Error> {
///     wireloom_build::builder()
///         .protos(["proto/greeter.proto", "proto/clock.proto"])
///         .include("proto")
///         .prost(|config| {
///             config.btree_map(["."]);
///         })
///         .generate()?;
///     Ok(())
/// }
/// ```
pub fn builder() -> Builder {
    Builder::default()
}

/// The settings of one run.
struct Run {
    sources: Sources,
    config: Config,
    templates: Option<PathBuf>,
    stubs: Stubs,
    sides: Sides,
    mocks: bool,
    /// Whether descriptors are embedded, and how.
    descriptors: Option<Comments>,
    prost: Box<dyn FnOnce(&mut prost_build::Config)>,
    formatter: Formatter,
    out: PathBuf,
    /// The files that were read to get here.
    read: Vec<PathBuf>,
}

/// The pipeline: load, lower, render, format, emit.
///
/// All files are made before `emit` sees the first, so that an error changes nothing on disk. Returns what `emit` did,
/// and the files that were read.
fn pipeline<T>(
    run: Run,
    emit: impl FnOnce(&Path, &Files) -> Result<T, Error>,
) -> Result<(T, Vec<PathBuf>), Error> {
    let templates = Templates::load(run.templates.as_deref())?;
    let loaded = load::load(&run.sources)?;
    let mut model = lower::lower(&loaded, &run.config)?;
    let messages = messages::messages(&loaded, run.prost)?;
    messages.resolve(&mut model);

    let mut modules = messages.modules;
    let has_stubs =
        |package: &&Package| !package.services.is_empty() && run.sides != Sides::Neither;
    for package in model.packages.iter().filter(has_stubs) {
        let stubs = match run.stubs {
            Stubs::Wireloom => templates.render(package, run.sides, run.mocks)?,
            Stubs::Tonic => tonic_stubs::stubs(package, run.sides)?,
        };
        modules
            .entry(package.rust_path.clone())
            .or_default()
            .push_str(&stubs);
    }

    let mut files = modules::files(modules)?;
    if let Some(comments) = run.descriptors {
        descriptors::embed(&loaded, comments, &mut files)?;
    }
    for (name, text) in &mut files {
        *text = run.formatter.format(name, text)?;
    }

    let emitted = emit(&run.out, &files)?;
    let read = [run.read, templates.read, loaded.read].concat();
    Ok((emitted, read))
}

/// The pipeline as far as the model.
fn model_of(sources: &Sources, config: &Config) -> Result<Model, Error> {
    lower::lower(&load::load(sources)?, config)
}
