//! Servers and clients of other implementations.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::python::Python;

/// Whose server, or client, it is.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Grpcio,
    GrpcJs,
}

/// A server, ended with the handle.
pub struct Served {
    _python: Option<Python>,
    _process: Child,
    pub port: u16,
}

impl Peer {
    /// Serves the probe; over TLS where `files` are a chain and a key, and over mTLS where a file of roots follows.
    pub async fn serve(self, compression: &str, files: &[&PathBuf]) -> Served {
        let (python, mut program) = match self {
            Self::Grpcio => {
                let python = Python::new().await;
                let program = python.program("server.py");
                (Some(python), program)
            }
            Self::GrpcJs => (None, node("server.js")),
        };
        program.arg(compression).args(files);
        Served::new(python, program).await
    }

    /// A client that makes one check of `target`, which may name a scheme.
    pub async fn check(self, name: &str, target: &str) -> Check {
        let (python, mut program) = match self {
            Self::Grpcio => {
                let python = Python::new().await;
                let program = python.program("client.py");
                (Some(python), program)
            }
            Self::GrpcJs => (None, node("client.js")),
        };
        let address = target.split_once("://").map_or(target, |(_, rest)| rest);
        program.args([address, name]).stderr(Stdio::piped());
        Check {
            _python: python,
            program,
        }
    }
}

/// A check by a client that is to run.
pub struct Check {
    _python: Option<Python>,
    program: Command,
}

impl Check {
    /// Over TLS by these files: roots, and then a chain and its key.
    pub fn files(mut self, files: &[&PathBuf]) -> Self {
        self.program.args(files);
        self
    }

    /// With these options of its channel, as JSON.
    pub fn options(mut self, options: &str) -> Self {
        self.program.env("CHANNEL_OPTIONS", options);
        self
    }

    /// With this bearer token.
    pub fn token(mut self, token: &str) -> Self {
        self.program.env("TOKEN", token);
        self
    }

    /// Runs it; gives what it printed.
    pub async fn run(mut self) -> Printed {
        let Output {
            status,
            stdout,
            stderr,
        } = self.program.output().await.unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{:?}: {errors}", self.program.as_std());
        Printed {
            output: String::from_utf8(stdout).unwrap(),
            errors,
        }
    }
}

/// What a client printed, and what it wrote to its log.
pub struct Printed {
    pub output: String,
    pub errors: String,
}

impl Served {
    /// A server of grpcio's with these options, as JSON.
    pub async fn with_options(options: &str) -> Self {
        let python = Python::new().await;
        let mut program = python.program("server.py");
        program.env("CHANNEL_OPTIONS", options);
        Self::new(Some(python), program).await
    }

    async fn new(python: Option<Python>, mut program: Command) -> Self {
        let mut process = program.spawn().unwrap();
        let mut port = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut port).await.unwrap();
        Self {
            _python: python,
            _process: process,
            port: port.trim().parse().unwrap(),
        }
    }
}

/// A program of `tests/interop` for Node.js, which finds grpc-js and proto-loader where WIRELOOM_NODE_MODULES says.
fn node(program: &str) -> Command {
    let mut node = Command::new("node");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    if let Some(modules) = std::env::var_os("WIRELOOM_NODE_MODULES") {
        node.env("NODE_PATH", modules);
    }
    node.arg(folder.join(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    node
}

/// Makes tests of each of these functions, which take a peer, one for each peer.
macro_rules! with_each_peer {
    ($($name:ident),+ $(,)?) => {
        mod grpcio {
            $(
                #[tokio::test]
                #[ignore = "needs Python's grpcio, which .ci/run installs"]
                async fn $name() {
                    super::$name(super::Peer::Grpcio).await;
                }
            )+
        }

        mod grpc_js {
            $(
                #[tokio::test]
                #[ignore = "needs grpc-js, which .ci/run installs"]
                async fn $name() {
                    super::$name(super::Peer::GrpcJs).await;
                }
            )+
        }
    };
}
pub(crate) use with_each_peer;
