//! Protos to descriptors with a `protoc` that was named.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::load::inputs::{self, Inputs};
use crate::load::{
    Loaded, OPTIONS_NAME, OPTIONS_TEXT, RULES, Sources, descriptor_set, in_folder, read_source,
    to_generate,
};
use crate::source::{Columns, Place, Source, Spot};

/// Compiles the protos that were named.
pub(super) fn load(protoc: &Path, sources: &Sources) -> Result<Loaded, Error> {
    let inputs = inputs::find(sources)?;
    let bytes = run(protoc, &inputs)?;
    let pool = descriptor_set::decode(&bytes, &protoc.display().to_string())?;

    let mut read = inputs.folders.clone();
    let mut texts = BTreeMap::new();
    for file in pool.files() {
        if let Some((path, source)) = on_disk(&inputs, file.name()) {
            read.push(path);
            texts.insert(file.name().to_owned(), source);
        }
    }
    Ok(Loaded {
        generate: to_generate(&pool, Some(&inputs.names)),
        pool,
        read,
        texts,
        columns: Columns::TabStops,
    })
}

/// Runs protoc; returns the encoded descriptor set.
fn run(protoc: &Path, inputs: &Inputs) -> Result<Vec<u8>, Error> {
    let scratch =
        |error| Error::new("cannot write to the folder for temporary files").with_cause(error);
    let folder = tempfile::tempdir().map_err(scratch)?;
    let own = folder.path().join("include");
    let carried = folder.path().join("carried");
    let rules = RULES.map(|(name, text)| (&carried, name, text));
    for (folder, name, text) in [(&own, OPTIONS_NAME, OPTIONS_TEXT)]
        .into_iter()
        .chain(rules)
    {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(scratch)?;
        fs::write(&path, text).map_err(scratch)?;
    }
    let output = folder.path().join("descriptors.binpb");

    let mut command = Command::new(protoc);
    command.args(["--include_imports", "--include_source_info"]);
    command.arg(flag("--descriptor_set_out=", &output));
    // As with protox, the generator's own options come first.
    command.arg(flag("--proto_path=", &own));
    for include in &inputs.includes {
        command.arg(flag("--proto_path=", include));
    }
    command.arg(flag("--proto_path=", &carried));
    command.args(&inputs.names);
    let result = command.output().map_err(|error| {
        Error::new(format!("cannot run `{}`", protoc.display()))
            .with_cause(error)
            .with_help("leave `protoc` out to use the compiler that is built in, or give the path of a protoc")
    })?;
    if !result.status.success() {
        return Err(failure(
            protoc,
            &String::from_utf8_lossy(&result.stderr),
            inputs,
        ));
    }
    fs::read(&output).map_err(|error| {
        Error::new(format!("`{}` wrote no descriptor set", protoc.display())).with_cause(error)
    })
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// The file of a name in the include folders, and its text.
fn on_disk(inputs: &Inputs, name: &str) -> Option<(PathBuf, Source)> {
    let path = inputs
        .includes
        .iter()
        .map(|include| in_folder(include, name))
        .find(|path| path.is_file())?;
    let source = read_source(&path).ok()?;
    Some((path, source))
}

/// What protoc found wrong: lines of `file:line:column: message`, or of `file: message`.
fn failure(protoc: &Path, output: &str, inputs: &Inputs) -> Error {
    let errors = output
        .lines()
        .filter(|line| !line.contains(": warning: "))
        .filter_map(|line| {
            let (file, rest) = line.split_once(".proto:")?;
            let file = format!("{file}.proto");
            let mut parts = rest.splitn(3, ':');
            let place = (
                parts.next()?.parse::<usize>(),
                parts.next().unwrap_or_default().parse::<usize>(),
            );
            let source = on_disk(inputs, &file).map(|(_, source)| source);
            let (Ok(line), Ok(column)) = place else {
                let place = Place {
                    file: source.map_or(file, |source| source.name().to_owned()),
                    line: 0,
                    column: 0,
                };
                return Some(Error::new(rest.trim()).at_place(place));
            };
            let message = parts.next().unwrap_or_default().trim();
            let spot = match source {
                Some(source) => {
                    let offset = source.offset(
                        line.saturating_sub(1),
                        column.saturating_sub(1),
                        Columns::TabStops,
                    );
                    Spot::in_source(&source, offset..offset)
                }
                None => Spot::without_text(Place { file, line, column }),
            };
            Some(spot.error(message, "here"))
        });
    Error::all(errors).unwrap_or_else(|| {
        let output = output.trim().to_owned();
        Error::new(format!("`{}` failed", protoc.display())).with_cause(output)
    })
}
