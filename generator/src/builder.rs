//! The builder: what to generate, from what, and where to.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use prost_build::Config as ProstConfig;

use crate::config::{Config, Generate, Stubs};
use crate::emit::{self, Drift, Report};
use crate::error::Error;
use crate::explain::{Explanation, explain};
use crate::format::Formatter;
use crate::load::{Compiler, Sources};
use crate::model::Model;
use crate::render::NO_FOLDER;
use crate::service_config::ServiceConfig;
use crate::{Run, pipeline};

/// Which sides of a service get stubs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// Clients and servers.
    #[default]
    Both,
    /// Clients alone.
    Client,
    /// Servers alone.
    Server,
    /// Neither: messages alone.
    Neither,
}

impl Sides {
    fn new(client: bool, server: bool) -> Self {
        match (client, server) {
            (true, true) => Self::Both,
            (true, false) => Self::Client,
            (false, true) => Self::Server,
            (false, false) => Self::Neither,
        }
    }

    pub(crate) fn client(self) -> bool {
        matches!(self, Self::Both | Self::Client)
    }

    pub(crate) fn server(self) -> bool {
        matches!(self, Self::Both | Self::Server)
    }
}

type ProstHook = Box<dyn FnOnce(&mut ProstConfig)>;

/// What to generate, from what, and where to; made by [`builder`](crate::builder).
///
/// Every setting but [`prost`](Self::prost) may be in a `wireloom.toml` too, which [`config`](Self::config) names; what
/// the builder says wins over the file. Protos of the builder stand in for those of the file, which may then have
/// policies for what they lack. Paths are relative to the working directory, which for a build script is the
/// folder of `Cargo.toml`.
///
/// | setting | default |
/// |---|---|
/// | [`proto`](Self::proto), [`protos`](Self::protos) | those of `wireloom.toml`; with a descriptor set, all of it |
/// | [`include`](Self::include), [`includes`](Self::includes) | the folders of the protos |
/// | [`service_config`](Self::service_config) | those of `wireloom.toml` |
/// | [`out_dir`](Self::out_dir) | `OUT_DIR` in a build script |
/// | [`templates`](Self::templates) | those built in |
/// | [`stubs`](Self::stubs) | [`Stubs::Wireloom`] |
/// | [`sides`](Self::sides) | [`Sides::Both`] |
/// | [`mocks`](Self::mocks) | none |
/// | [`descriptors`](Self::descriptors), [`descriptor_comments`](Self::descriptor_comments) | none |
#[must_use = "a builder does nothing until `generate`, `check`, `model` or `explain` is called"]
#[derive(Default)]
pub struct Builder {
    config: Option<PathBuf>,
    generate: Generate,
    prost: Option<ProstHook>,
}

impl Builder {
    /// Reads a `wireloom.toml`: what to generate, and policies per package, service and method.
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// Adds a proto, or a folder of them, to generate code for. What it imports is generated with it.
    pub fn proto(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.protos.push(path.into());
        self
    }

    /// Adds several protos; see [`proto`](Self::proto).
    pub fn protos<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.generate
            .protos
            .extend(paths.into_iter().map(Into::into));
        self
    }

    /// Adds a folder that imports are looked up in, after those added before.
    ///
    /// The well-known types, `wireloom/options.proto`, `buf/validate/validate.proto` and `google/api/field_behavior.proto` are
    /// found without any.
    pub fn include(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.includes.push(path.into());
        self
    }

    /// Adds several folders; see [`include`](Self::include).
    pub fn includes<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.generate
            .includes
            .extend(paths.into_iter().map(Into::into));
        self
    }

    /// Reads a `FileDescriptorSet`, as `protoc --include_imports --include_source_info -o FILE` writes it, and no protos.
    pub fn descriptor_set(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.descriptor_set = Some(path.into());
        self
    }

    /// Reads the protos with this `protoc` rather than the compiler that is built in.
    pub fn protoc(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.protoc = Some(path.into());
        self
    }

    /// Reads a gRPC service config in JSON, such as is published beside an API's protos (`*_grpc_service_config.json`): its
    /// timeouts, policies and limits win over those of the protos and of `wireloom.toml`. Of several files, the last that
    /// has an entry for a method wins.
    ///
    /// Throttling holds for every method, whether or not it has an entry: that of the last file which is for its service, or of
    /// the last file where none is. What a file says of load balancing and health checks holds for a channel as a whole, which
    /// takes it at run time.
    pub fn service_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.service_configs.push(path.into());
        self
    }

    /// Writes the files to this folder. Only files that Wireloom wrote are ever replaced or removed there.
    ///
    /// Outside of `OUT_DIR` people read the files, so they are formatted with rustfmt, where it is installed, by the
    /// `rustfmt.toml` that rules in the folder.
    pub fn out_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.generate.out = Some(path.into());
        self
    }

    /// Renders stubs with the templates in this folder; for those that it lacks, with the ones built in.
    ///
    /// [`templates`](crate::templates) lists the names that may be overridden, and `wireloom templates export DIR` writes
    /// them to a folder.
    pub fn templates(mut self, folder: impl Into<PathBuf>) -> Self {
        self.generate.templates = Some(folder.into());
        self
    }

    /// Chooses whose stubs to write.
    pub fn stubs(mut self, stubs: Stubs) -> Self {
        self.generate.stubs = Some(stubs);
        self
    }

    /// Chooses the sides to write stubs for.
    pub fn sides(mut self, sides: Sides) -> Self {
        self.generate.client = Some(sides.client());
        self.generate.server = Some(sides.server());
        self
    }

    /// Chooses whether each service gets a mock, which scripts answers in tests. The default is not.
    ///
    /// A mock is a server of the service and makes clients of it: both are needed, in Wireloom's stubs. The crate that takes
    /// the code depends on `wireloom` with the feature `mock`.
    pub fn mocks(mut self, mocks: bool) -> Self {
        self.generate.mocks = Some(mocks);
        self
    }

    /// Chooses whether the code has the descriptors of its protos and of all that they import, for reflection and validation.
    /// The default is not.
    ///
    /// They are `FILE_DESCRIPTOR_SET` at the root of the module tree, an encoded `google.protobuf.FileDescriptorSet` with all
    /// custom options, and servers know them.
    pub fn descriptors(mut self, descriptors: bool) -> Self {
        self.generate.descriptors = Some(descriptors);
        self
    }

    /// Chooses whether these descriptors have the comments of the protos, and where everything is in them. The default is not.
    ///
    /// Clients of reflection may show comments; they make descriptors several times as large.
    pub fn descriptor_comments(mut self, comments: bool) -> Self {
        self.generate.descriptor_comments = Some(comments);
        self
    }

    /// Changes how prost-build makes the messages: attributes, `bytes::Bytes`, maps that are sorted.
    ///
    /// `extern_path` makes stubs use the types of another crate, too. The paths of prost itself are set already; output
    /// folders and a service generator that are set here have no effect.
    pub fn prost(mut self, customize: impl FnOnce(&mut ProstConfig) + 'static) -> Self {
        self.prost = Some(Box::new(customize));
        self
    }

    /// Writes the files that changed, removes those that an earlier run wrote and this one does not, and says which.
    ///
    /// All is made in memory first: an error leaves everything as it was. In a build script, this also tells Cargo to
    /// run the script again when a file that was read changes.
    ///
    /// # Errors
    ///
    /// If a proto, `wireloom.toml` or a template is wrong or cannot be read, the output folder cannot be written, or a
    /// file there that Wireloom did not write has the name of one to write.
    pub fn generate(self) -> Result<Report, Error> {
        let (mut report, read) = pipeline(self.into_run()?, emit::write)?;
        // In a build script, Cargo reads what is printed.
        if env::var_os("CARGO").is_some() && env::var_os("OUT_DIR").is_some() {
            for path in &read {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
        report.read = read;
        Ok(report)
    }

    /// Says how the files on disk differ from what [`generate`](Self::generate) would write; writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate), but that files are not written.
    pub fn check(self) -> Result<Drift, Error> {
        let (drift, _) = pipeline(self.into_run()?, emit::compare)?;
        Ok(drift)
    }

    /// Makes the model that templates are rendered with.
    ///
    /// # Errors
    ///
    /// If a proto or `wireloom.toml` is wrong or cannot be read.
    pub fn model(self) -> Result<Model, Error> {
        let (config, _) = self.into_config()?;
        crate::model_of(&sources(&config.generate), &config)
    }

    /// Explains the policy of a method, or of every method of a service or package: `helloworld.Greeter/SayHello`.
    ///
    /// # Errors
    ///
    /// As for [`model`](Self::model), and if nothing is called `path`.
    pub fn explain(self, path: &str) -> Result<Explanation, Error> {
        let (config, _) = self.into_config()?;
        let model = crate::model_of(&sources(&config.generate), &config)?;
        let explanation = explain(&model, path)?;
        Ok(match config.generate.stubs.unwrap_or_default() {
            Stubs::Wireloom => explanation,
            Stubs::Tonic => explanation.for_tonic_stubs(),
        })
    }

    /// The settings in force: the file's, and over them the builder's.
    fn into_config(self) -> Result<(Config, Option<ProstHook>), Error> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        // Imports of a proto that stands in for the file's are relative to the same folders as theirs.
        if config.generate.includes.is_empty() {
            config.generate.includes = includes(&config.generate.protos, &self.generate.protos);
        }
        let lists_protos =
            !config.generate.protos.is_empty() || config.generate.descriptor_set.is_some();
        config.narrowed = lists_protos && !self.generate.protos.is_empty();
        override_with(&mut config.generate, self.generate);
        let descriptor_set = config.generate.descriptor_set.as_deref();
        if let Some(error) = descriptor_set.and_then(|path| config.generate.missing(path)) {
            return Err(error);
        }
        let wrong = config.generate.mocks_without_stubs();
        if let Some((what, help)) = wrong.or(config.generate.comments_without_descriptors()) {
            return Err(Error::new(what).with_help(help));
        }
        config.service_configs = service_configs(&config.generate)?;
        Ok((config, self.prost))
    }

    fn into_run(self) -> Result<Run, Error> {
        let mut read = Vec::from_iter(self.config.clone());
        let (config, prost) = self.into_config()?;
        read.extend(config.generate.service_configs.iter().cloned());
        let generate = &config.generate;
        let templates = generate.templates.as_deref();
        if let Some(error) = templates.and_then(|folder| generate.missing(folder)) {
            return Err(error.with_help(NO_FOLDER));
        }
        let cargo_out = env::var_os("OUT_DIR").map(PathBuf::from);
        let out = generate.out.clone().or_else(|| cargo_out.clone()).ok_or_else(|| {
            Error::new("there is no folder to write to")
                .with_help("name one: `--out DIR`, `out = \"src/proto\"` under `[generate]` in wireloom.toml, or `out_dir` of the builder")
        })?;
        let formatter = match cargo_out {
            Some(cargo_out) if out.starts_with(&cargo_out) => Formatter::Prettyplease,
            _ => Formatter::for_people(&out),
        };
        Ok(Run {
            sources: sources(generate),
            templates: generate.templates.clone(),
            stubs: generate.stubs.unwrap_or_default(),
            sides: Sides::new(
                generate.client.unwrap_or(true),
                generate.server.unwrap_or(true),
            ),
            mocks: generate.mocks(),
            descriptors: generate.embedded(),
            prost: prost.unwrap_or_else(|| Box::new(|_| ())),
            config,
            formatter,
            out,
            read,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("generate", &self.generate)
            .field("prost", &self.prost.is_some())
            .finish()
    }
}

/// Lists replace lists, so that the command's protos are the ones generated, and values replace values.
fn override_with(config: &mut Generate, builder: Generate) {
    fn list(old: &mut Vec<PathBuf>, new: Vec<PathBuf>) {
        if !new.is_empty() {
            *old = new;
        }
    }
    fn value<T>(old: &mut Option<T>, new: Option<T>) {
        if new.is_some() {
            *old = new;
        }
    }
    if !builder.protos.is_empty() {
        config.listed.clear();
    }
    list(&mut config.protos, builder.protos);
    list(&mut config.includes, builder.includes);
    list(&mut config.service_configs, builder.service_configs);
    value(&mut config.out, builder.out);
    value(&mut config.templates, builder.templates);
    value(&mut config.stubs, builder.stubs);
    value(&mut config.client, builder.client);
    value(&mut config.server, builder.server);
    value(&mut config.mocks, builder.mocks);
    value(&mut config.descriptors, builder.descriptors);
    value(&mut config.descriptor_comments, builder.descriptor_comments);
    // A protoc reads protos, and the file's descriptor set would be read in place of those.
    if builder.protoc.is_some() {
        config.descriptor_set = None;
    }
    value(&mut config.descriptor_set, builder.descriptor_set);
    value(&mut config.protoc, builder.protoc);
}

/// Reads the service configs, and reports what is wrong with all of them.
fn service_configs(generate: &Generate) -> Result<Vec<ServiceConfig>, Error> {
    let (mut configs, mut errors) = (Vec::new(), Vec::new());
    for path in &generate.service_configs {
        let missing = generate.missing(path);
        match missing.map_or_else(|| ServiceConfig::read(path), Err) {
            Ok(config) => configs.push(config),
            Err(error) => errors.push(error),
        }
    }
    match Error::all(errors) {
        Some(error) => Err(error),
        None => Ok(configs),
    }
}

fn sources(generate: &Generate) -> Sources {
    let compiler = match (&generate.descriptor_set, &generate.protoc) {
        (Some(path), _) => Compiler::DescriptorSet(path.clone()),
        (None, Some(path)) => Compiler::Protoc(path.clone()),
        (None, None) => Compiler::Protox,
    };
    Sources {
        protos: generate.protos.clone(),
        listed: generate.listed.clone(),
        includes: generate.includes.clone(),
        compiler,
    }
}

/// Where imports are looked up unless something says so: in the folders of the file's protos, and before them in those
/// of the builder's protos that are elsewhere. One that does not exist may be a name in one of the others.
fn includes(of_file: &[PathBuf], of_builder: &[PathBuf]) -> Vec<PathBuf> {
    let known = folders_of(of_file);
    let is_known = |proto: &Path| {
        let is_in = |folder: &PathBuf| {
            let (folder, proto) = (folder.canonicalize(), proto.canonicalize());
            folder.is_ok_and(|folder| proto.is_ok_and(|proto| proto.starts_with(folder)))
        };
        known.iter().any(is_in)
    };
    let elsewhere: Vec<PathBuf> = of_builder
        .iter()
        .filter(|proto| proto.exists() && !is_known(proto))
        .cloned()
        .collect();
    let mut folders = folders_of(&elsewhere);
    folders.extend(known);
    folders
}

/// The folders that protos are in; a folder of protos is itself one.
fn folders_of(protos: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for proto in protos {
        let folder = match proto.parent() {
            _ if proto.is_dir() => proto,
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !folders.iter().any(|known| known == folder) {
            folders.push(folder.to_owned());
        }
    }
    folders
}
