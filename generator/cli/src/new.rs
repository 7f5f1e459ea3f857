//! `wireloom new`: a service project that builds and runs at once.

mod dependencies;
mod name;
mod scaffold;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use miette::{Report, miette};

use crate::args::NewArgs;
use crate::export::{create_folder, write};
use crate::output;

use dependencies::Dependencies;
use name::Name;

pub(crate) fn run(args: &NewArgs) -> Result<(), Report> {
    let name = Name::parse(&args.name)?;
    let folder = args
        .path
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.name));
    refuse_unless_free(&folder)?;
    let dependencies = Dependencies::locate();
    let files = scaffold::render(&name, &dependencies)?;

    create_folder(&folder)?;
    for (path, text) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            create_folder(parent)?;
        }
        write(&path, text)?;
    }
    let manifest = folder.join("Cargo.toml");
    let astray = is_astray(&manifest);
    if astray {
        leave_workspace(&manifest)?;
    }

    output::line(format_args!(
        "wrote {} files to {}",
        files.len(),
        folder.display()
    ))?;
    output::line(dependencies)?;
    if astray {
        output::line(
            "it is a workspace of its own, since the one in a folder above does not list it; to join that one, add it \
             to its `members` and take `[workspace]` out of its own Cargo.toml",
        )?;
    }
    output::line(format_args!("next: cd {} && cargo run", folder.display()))
}

/// Refuses a folder with something in it: nothing there is ours to overwrite.
fn refuse_unless_free(folder: &Path) -> Result<(), Report> {
    let taken = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some().then_some("is not empty"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Some("is not a folder"),
        Err(error) => return Err(miette!("{} cannot be read: {error}", folder.display())),
    };
    match taken {
        None => Ok(()),
        Some(what) => Err(miette!(
            help = "name another folder with --path",
            "{} exists and {what}",
            folder.display()
        )),
    }
}

/// Whether Cargo would refuse the project, since it stands in a workspace that does not list it.
///
/// Cargo itself is asked: members are globs, exclusions and path dependencies together. Where it cannot be asked,
/// nothing is known to be wrong.
fn is_astray(manifest: &Path) -> bool {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["locate-project", "--workspace", "--manifest-path"])
        .arg(manifest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| !status.success())
}

/// Makes the project a workspace of its own.
fn leave_workspace(manifest: &Path) -> Result<(), Report> {
    let text = fs::read_to_string(manifest)
        .map_err(|error| miette!("{} cannot be read: {error}", manifest.display()))?;
    let table = "\n# A folder above is a workspace that does not list this project. To join it, add the project to its `members`\n\
                 # and take this table out:\n[workspace]\n";
    write(manifest, &(text + table))
}
