//! Servers of other implementations.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::python::Python;

/// Whose server it is.
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
pub fn node(program: &str) -> Command {
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
