//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use wireloom_build::{Builder, Sides, Stubs};

use crate::generate;

/// Turns .proto files into resilient Rust services.
#[derive(Debug, Parser)]
#[command(name = "wireloom", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a new service project that builds and runs at once
    New(NewArgs),
    /// Write Rust messages, clients and servers
    Generate(GenerateArgs),
    /// Print what templates are rendered with, as JSON
    Model(InputArgs),
    /// Print the policy of a method and where each value comes from
    Explain(ExplainArgs),
    /// Work with the templates that code is rendered from
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Work with the protos that the generator carries, such as wireloom/options.proto
    #[command(subcommand)]
    Protos(ProtosCommand),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct NewArgs {
    /// The name of the package
    pub(crate) name: String,
    /// The folder to write to [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

/// What to read, for every command that reads protos.
#[derive(ClapArgs, Debug)]
pub(crate) struct InputArgs {
    /// The protos, or folders of them [default: those of wireloom.toml]
    ///
    /// They take the place of the protos in wireloom.toml, whose other settings and policies hold, unless an option
    /// says otherwise; what it says of services and methods that these protos lack is left aside.
    #[arg(value_name = "PROTO")]
    protos: Vec<PathBuf>,
    /// A folder that imports are looked up in [default: those of wireloom.toml, or the folders of the protos]
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    includes: Vec<PathBuf>,
    /// The wireloom.toml to read [default: the nearest one, here or in a folder above, if any]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A gRPC service config in JSON, whose policies win over those of protos and wireloom.toml
    /// [default: those of wireloom.toml]
    #[arg(long = "service-config", value_name = "FILE")]
    service_configs: Vec<PathBuf>,
    /// Read this FileDescriptorSet rather than protos
    #[arg(long, value_name = "FILE", conflicts_with = "protoc")]
    descriptor_set: Option<PathBuf>,
    /// Read protos with this protoc rather than with the compiler that is built in
    #[arg(long, value_name = "PROTOC")]
    protoc: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Write nothing; print a diff and exit with 1 where the code on disk is out of date
    #[arg(long)]
    pub(crate) check: bool,
}

/// What to write.
#[derive(ClapArgs, Debug)]
pub(crate) struct OutputArgs {
    /// The folder to write to [default: that of wireloom.toml]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder of templates that take the place of those of the same names
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Whose clients and servers to write [default: wireloom]
    #[arg(long, value_name = "FLAVOUR")]
    stubs: Option<StubsArg>,
    /// Embed the descriptors of the protos, for reflection and validation
    #[arg(long)]
    descriptors: bool,
    /// Write no servers
    #[arg(long, conflicts_with = "server_only")]
    client_only: bool,
    /// Write no clients
    #[arg(long)]
    server_only: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StubsArg {
    /// Wireloom's own
    Wireloom,
    /// Those of tonic-build, for code written for tonic
    Tonic,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ExplainArgs {
    /// A method, such as helloworld.Greeter/SayHello; or a service or package, for every method of it
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplatesCommand {
    /// Write the templates that are built in to a folder, to change them there
    Export(ExportArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProtosCommand {
    /// Write them to a folder, for compilers of other languages
    Export(ExportArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ExportArgs {
    /// The folder to write to
    pub(crate) dir: PathBuf,
    /// Overwrite files that were changed
    #[arg(long)]
    pub(crate) force: bool,
}

impl InputArgs {
    /// A builder that reads what the arguments say, and what the nearest `wireloom.toml` says besides.
    pub(crate) fn into_builder(self) -> Result<Builder, miette::Report> {
        let named = !self.protos.is_empty() || self.descriptor_set.is_some();
        let config = match self.config {
            Some(path) => Some(path),
            None => generate::find_config(named)?,
        };
        let mut builder = wireloom_build::builder()
            .protos(self.protos)
            .includes(self.includes);
        if let Some(path) = config {
            builder = builder.config(path);
        }
        for path in self.service_configs {
            builder = builder.service_config(path);
        }
        if let Some(path) = self.descriptor_set {
            builder = builder.descriptor_set(path);
        }
        if let Some(path) = self.protoc {
            builder = builder.protoc(path);
        }
        Ok(builder)
    }
}

impl OutputArgs {
    /// Adds to `builder` what was said; what was not stays as `wireloom.toml` has it.
    pub(crate) fn apply(self, mut builder: Builder) -> Builder {
        if let Some(path) = self.out {
            builder = builder.out_dir(path);
        }
        if let Some(path) = self.templates {
            builder = builder.templates(path);
        }
        if let Some(stubs) = self.stubs {
            builder = builder.stubs(match stubs {
                StubsArg::Wireloom => Stubs::Wireloom,
                StubsArg::Tonic => Stubs::Tonic,
            });
        }
        if self.descriptors {
            builder = builder.descriptors(true);
        }
        match (self.client_only, self.server_only) {
            (true, _) => builder.sides(Sides::Client),
            (_, true) => builder.sides(Sides::Server),
            (false, false) => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
