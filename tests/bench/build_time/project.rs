//! The crates to build: one for each way to use each kind of stubs.

use std::{
    fmt, fs,
    path::Path,
    process::{Command, ExitStatus},
};

use super::{
    Error,
    sources::{
        LIBRARY_END, PROGRAM_END, PROTO, TOKIO, TONIC_CALLS, TONIC_GENERATOR, TONIC_HANDLER,
        TONIC_MAIN, TONIC_MANIFEST, WIRELOOM_CALLS, WIRELOOM_HANDLER, for_each_method,
    },
};

/// What a crate has beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stubs {
    None,
    Wireloom,
    Tonic,
}

/// What a crate does with what was generated. Stubs are generic here and there, and generic code costs nothing before
/// it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// A program serves all methods and calls them: what a service costs in the end, linking included.
    Program,
    /// As a library, so that nothing is linked.
    Library,
    /// A library of generated code alone, as a workspace may have it.
    Unused,
}

impl Stubs {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Wireloom, Self::Tonic];
}

impl Use {
    pub(crate) const ALL: [Self; 3] = [Self::Program, Self::Library, Self::Unused];
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program => "used, in a program",
            Self::Library => "used, in a library",
            Self::Unused => "generated code alone",
        })
    }
}

/// A crate to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Project {
    pub(crate) used: Use,
    pub(crate) stubs: Stubs,
}

impl Project {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Use::ALL
            .into_iter()
            .flat_map(|used| Stubs::ALL.map(|stubs| Self { used, stubs }))
    }

    pub(crate) fn name(self) -> String {
        format!("{:?}-{:?}", self.stubs, self.used).to_lowercase()
    }

    fn manifest(self) -> String {
        let dependencies = match self.stubs {
            Stubs::None => "prost = \"0.14\"\n".to_owned(),
            Stubs::Wireloom => {
                let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime");
                format!("wireloom = {{ path = {runtime:?} }}\n{TOKIO}")
            }
            Stubs::Tonic => {
                format!("prost = \"0.14\"\ntonic = \"0.14\"\ntonic-prost = \"0.14\"\n{TOKIO}")
            }
        };
        let name = self.name();
        format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n[workspace]\n"
        )
    }

    fn source(self) -> String {
        let code = match (self.used, self.stubs) {
            (Use::Unused, _) | (_, Stubs::None) => String::new(),
            (_, Stubs::Wireloom) => use_of(WIRELOOM_HANDLER, WIRELOOM_CALLS),
            (_, Stubs::Tonic) => use_of(TONIC_HANDLER, TONIC_CALLS),
        };
        let end = match (self.used, self.stubs) {
            (Use::Program, Stubs::None) => "fn main() {}\n",
            (Use::Program, _) => PROGRAM_END,
            (Use::Library, Stubs::Wireloom | Stubs::Tonic) => LIBRARY_END,
            (Use::Library, Stubs::None) | (Use::Unused, _) => "",
        };
        let generated = match self.stubs {
            Stubs::Wireloom => "include!(\"gen/wireloom.rs\");",
            Stubs::None | Stubs::Tonic => "pub mod bench { include!(\"gen/bench.rs\"); }",
        };
        format!("#![allow(dead_code)]\npub mod pb {{ {generated} }}\n{code}{end}")
    }
}

/// The handler and the calls.
fn use_of(handler: &str, calls: &str) -> String {
    [handler, calls].map(for_each_method).concat()
}

pub(crate) fn write_projects(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder)?;
    let proto = folder.join("bench.proto");
    fs::write(&proto, for_each_method(PROTO))?;
    let generator = folder.join(TONIC_GENERATOR);
    write_project(&generator, TONIC_MANIFEST, "main.rs", TONIC_MAIN)?;
    for project in Project::all() {
        let main = match project.used {
            Use::Program => "main.rs",
            Use::Library | Use::Unused => "lib.rs",
        };
        let project_folder = folder.join(project.name());
        write_project(
            &project_folder,
            &project.manifest(),
            main,
            &project.source(),
        )?;
        fs::create_dir_all(project_folder.join("src/gen"))?;
        generate(folder, project, &proto, &project_folder.join("src/gen"))?;
    }
    Ok(())
}

/// Writes a package, with the versions of dependencies that the workspace has.
fn write_project(folder: &Path, manifest: &str, main: &str, source: &str) -> Result<(), Error> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src").join(main), source)?;
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock"))?;
    Ok(())
}

fn generate(folder: &Path, project: Project, proto: &Path, out: &Path) -> Result<(), Error> {
    match project.stubs {
        Stubs::Wireloom => {
            wireloom_build::builder()
                .proto(proto)
                .include(folder)
                .out_dir(out)
                .generate()?;
            Ok(())
        }
        Stubs::None | Stubs::Tonic => {
            let status = Command::new(env!("CARGO"))
                .current_dir(folder.join(TONIC_GENERATOR))
                .args(["run", "--quiet", "--target-dir"])
                .arg(folder.join("target"))
                .arg("--")
                .args([proto, folder, out])
                .arg((project.stubs == Stubs::Tonic).to_string())
                .status()?;
            succeeded(status, "generate", project)
        }
    }
}

pub(crate) fn succeeded(status: ExitStatus, what: &str, project: Project) -> Result<(), Error> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("{what}: {} failed with {status}", project.name()).into()),
    }
}
