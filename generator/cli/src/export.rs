//! `wireloom templates export` and `wireloom protos export`: what is built in, as files.

use std::fs;
use std::path::Path;

use miette::{Report, miette};

use crate::args::ExportArgs;
use crate::output;

/// Writes the templates, to be changed.
pub(crate) fn templates(args: &ExportArgs) -> Result<(), Report> {
    export(args, "templates", wireloom_build::templates())?;
    output::line(format_args!(
        "delete those that you do not change; `templates = \"{}\"` under [generate] in wireloom.toml, or --templates, \
         renders with the rest",
        args.dir.display()
    ))
}

/// Writes the protos that need no include path here, for compilers that do not carry them.
pub(crate) fn protos(args: &ExportArgs) -> Result<(), Report> {
    export(args, "protos", wireloom_build::protos())?;
    output::line(format_args!(
        "other compilers find them by this folder: `protoc -I {}`",
        args.dir.display()
    ))
}

/// Writes files of what is built in, and none where one of them was changed.
fn export(
    args: &ExportArgs,
    what: &str,
    files: impl Iterator<Item = (&'static str, &'static str)>,
) -> Result<(), Report> {
    let mut unchanged = 0;
    let mut changed = Vec::new();
    let mut to_write = Vec::new();
    for (name, text) in files {
        let path = args.dir.join(name);
        match fs::read(&path) {
            Ok(on_disk) if on_disk == text.as_bytes() => unchanged += 1,
            Ok(_) if !args.force => changed.push(path),
            _ => to_write.push((path, text)),
        }
    }
    if !changed.is_empty() {
        let names: Vec<String> = changed
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(miette!(
            help = "pass --force to overwrite, or name another folder",
            "these files differ from the {what} that are built in: {}",
            names.join(", ")
        ));
    }
    create_folder(&args.dir)?;
    let written = to_write.len();
    for (path, text) in to_write {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        write(&path, text)?;
        output::line(format_args!("wrote {}", path.display()))?;
    }
    output::line(format_args!("wrote {written}, unchanged {unchanged}"))
}

/// Creates a folder and those above it.
pub(crate) fn create_folder(folder: &Path) -> Result<(), Report> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))
}

/// Writes a file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Report> {
    fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Report {
    miette!(
        help = "check that the folder is yours to write to",
        "{} cannot be written: {error}",
        path.display()
    )
}
