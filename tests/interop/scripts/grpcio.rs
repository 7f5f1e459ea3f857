//! Python's grpcio as a client.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use wireloom::MethodKind;

use super::{cases::Case, outcome::Outcome};
use crate::python::Python;

/// A process that calls methods of one kind, one call after the other; ended with this.
pub struct Grpcio {
    _process: Child,
    calls: ChildStdin,
    outcomes: Lines<BufReader<ChildStdout>>,
}

impl Grpcio {
    pub fn start(python: &Python, kind: MethodKind) -> Self {
        let kind = match kind {
            MethodKind::Unary => "unary_unary",
            MethodKind::ServerStreaming => "unary_stream",
            MethodKind::ClientStreaming => "stream_unary",
            MethodKind::BidiStreaming => "stream_stream",
        };
        let mut program = python.program("scripts.py");
        // It logs what the scripts do to it on purpose.
        let program = program.arg(kind).env("GRPC_VERBOSITY", "NONE");
        let mut process = program.spawn().unwrap();
        Self {
            calls: process.stdin.take().unwrap(),
            outcomes: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        }
    }

    pub async fn call(&mut self, case: &Case) -> Outcome {
        let (peer, target) = case.peer().await;
        let call = serde_json::json!([target, case.config(), case.timeout().as_secs_f64()]);
        let call = format!("{call}\n");
        self.calls.write_all(call.as_bytes()).await.unwrap();
        let printed = self.outcomes.next_line().await.unwrap();
        let printed = printed.unwrap_or_else(|| panic!("{}: Python has failed", case.name));
        let outcome: Outcome = serde_json::from_str(&printed).unwrap();
        outcome.seen_by(&peer, case)
    }
}
