//! The golden cases: each folder here is one.
//!
//! A case has its protos, and maybe a `wireloom.toml` and templates; and what must come of it, either `expected/`, the
//! files that are written, or `error.txt`, the report. With a `wireloom.toml` the case is run as `wireloom generate`
//! does in its folder; without one, every proto in the folder is generated for.
//!
//! `WIRELOOM_BLESS=1 cargo test -p wireloom-tests --test golden` writes what comes of each case now; read the diff.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use similar::TextDiff;
use wireloom_build::{Builder, Error};

#[test]
fn golden() {
    let bless = env::var_os("WIRELOOM_BLESS").is_some();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut failures = Vec::new();
    for case in folders(&here) {
        // Reports name files as they were given: from inside the folder, they are the same on any machine.
        env::set_current_dir(&case).expect("the folder is there");
        let failure = if bless { write_down() } else { compare() };
        if let Err(failure) = failure {
            let name = case
                .file_name()
                .expect("it is a folder's path")
                .to_string_lossy()
                .into_owned();
            failures.push(format!("== {name}\n{failure}"));
        }
    }
    let help = "WIRELOOM_BLESS=1 writes the new outputs; read the diff before you commit it";
    assert!(failures.is_empty(), "{}\n{help}", failures.join("\n"));
}

/// The case of the working directory, to be written to `expected`.
fn case() -> Builder {
    let builder = wireloom_build::builder().out_dir("expected");
    if Path::new("wireloom.toml").exists() {
        return builder.config("wireloom.toml");
    }
    let mut protos = Vec::new();
    find_protos(Path::new(""), &mut protos);
    builder.protos(protos).include(".")
}

fn compare() -> Result<(), String> {
    let expected = fs::read_to_string("error.txt").ok();
    match (case().check(), expected) {
        (Ok(drift), None) if drift.is_empty() => Ok(()),
        (Ok(drift), None) => Err(drift.to_string()),
        (Ok(_), Some(expected)) => Err(format!(
            "it is generated, though this was expected:\n{expected}"
        )),
        (Err(error), None) => Err(format!("it fails:\n{error:?}")),
        (Err(error), Some(expected)) => {
            let actual = report(&error);
            let diff = TextDiff::from_lines(&expected, &actual);
            let diff = diff
                .unified_diff()
                .header("error.txt", "what it is")
                .to_string();
            if diff.is_empty() { Ok(()) } else { Err(diff) }
        }
    }
}

fn write_down() -> Result<(), String> {
    let (written, other) = match case().generate() {
        Ok(_) => (Ok(()), Path::new("error.txt")),
        Err(error) => (
            fs::write("error.txt", report(&error)),
            Path::new("expected"),
        ),
    };
    let removed = if other.is_dir() {
        fs::remove_dir_all(other)
    } else {
        fs::remove_file(other).or(Ok(()))
    };
    written.and(removed).map_err(|error| error.to_string())
}

/// The report that a build script prints.
fn report(error: &Error) -> String {
    format!("{error:?}\n")
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut entries: Vec<PathBuf> = fs::read_dir(here)
        .expect("the folder is there")
        .flatten()
        .map(|entry| folder.join(entry.file_name()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            find_protos(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
}
