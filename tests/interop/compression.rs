//! Clients of grpcio and of grpc-js take responses that our server compresses.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::process::Command;
use wireloom::{CallObserver, Compression, InterceptedCall, Interceptor, Next};
use wireloom::{Response, Server, Status};

use crate::peers::node;
use crate::python::Python;
use crate::support::{Setup, TestServer};

/// The sizes on the wire of the messages that are sent.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<usize>>>);

impl CallObserver for Sent {
    fn message_sent(&self, size: usize) {
        self.0.lock().unwrap().push(size);
    }
}

impl Interceptor for Sent {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(self.clone());
        next.run(call).await
    }
}

/// Runs the check of a client, to which a server prefers zstd and then gzip: neither client has zstd.
async fn check(mut program: Command) {
    let sent = Sent::default();
    let server = Server::builder()
        .compression([Compression::Zstd, Compression::Gzip])
        .interceptor(sent.clone());
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let target = server.target.strip_prefix("http://").unwrap();
    program.args([target, "compressed_responses"]);
    let output = program.stderr(Stdio::piped()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let sent = std::mem::take(&mut *sent.0.lock().unwrap());
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|size| *size < 200), "{sent:?}");
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_takes_compressed_responses() {
    let python = Python::new().await;
    check(python.program("client.py")).await;
}

#[tokio::test]
#[ignore = "needs grpc-js, which .ci/run installs"]
async fn grpc_js_takes_compressed_responses() {
    check(node("client.js")).await;
}
