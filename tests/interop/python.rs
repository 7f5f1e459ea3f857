//! Python programs with the probe's stubs on their path.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

/// A folder with the stubs that grpcio-tools made of the protos.
pub struct Python {
    stubs: TempDir,
}

impl Python {
    pub async fn new() -> Self {
        let stubs = tempfile::tempdir().unwrap();
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut protoc = Command::new(interpreter());
        protoc.args(["-m", "grpc_tools.protoc"]);
        for include in [tests.join("proto"), tests.join("../generator/proto")] {
            protoc.arg("-I").arg(include);
        }
        for output in ["--python_out", "--grpc_python_out"] {
            protoc.arg(output).arg(stubs.path());
        }
        let made = protoc
            .args(["probe.proto", "wireloom/options.proto"])
            .output()
            .await
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self { stubs }
    }

    /// A program of `tests/interop`, ended with the handle.
    pub fn program(&self, name: &str) -> Command {
        let mut program = Command::new(interpreter());
        program
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("interop")
                    .join(name),
            )
            .env("PYTHONPATH", self.stubs.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        program
    }
}

fn interpreter() -> String {
    std::env::var("WIRELOOM_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
