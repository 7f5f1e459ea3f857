//! A folder to run the command in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The folder of this workspace.
pub(crate) fn checkout() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// A command that runs the binary under test, with nothing of the test runner's own Cargo in its environment.
pub(crate) fn wireloom(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireloom"));
    command.current_dir(folder).env_remove("OUT_DIR");
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// The output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The errors of a command that must have failed, and said so on standard error alone.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

/// A temporary folder with files in it.
pub(crate) struct Project(TempDir);

pub(crate) const CLOCK: &str = r#"syntax = "proto3";

package clock;

// Tells the time.
service Clock {
  // The time now.
  rpc Now(Question) returns (Time);
}

message Question {}

message Time {
  // Seconds since 1970.
  int64 seconds = 1;
}
"#;

pub(crate) const CLOCK_TOML: &str = r#"[generate]
protos = ["clock.proto"]
out = "gen"
"#;

impl Project {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A project with a proto and the `wireloom.toml` that reads it.
    pub(crate) fn clock() -> Self {
        let project = Self::empty();
        project.write("clock.proto", CLOCK);
        project.write("wireloom.toml", CLOCK_TOML);
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs the command here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        wireloom(self.path())
            .args(arguments)
            .output()
            .unwrap()
            .into()
    }

    /// Every file below a folder of the project, by its path in that folder.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<PathBuf, String> {
        files(&self.path().join(folder))
    }
}

/// Every file below a folder, by its path in it.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(folder, folder, &mut all);
    all
}
