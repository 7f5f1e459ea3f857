//! Clients of grpcio and of grpc-js take responses that our server compresses, and compress what they send to it.

use std::sync::{Arc, Mutex};

use wireloom::{CallObserver, Compression, Server};

use crate::peers::{Peer, with_each_peer};
use crate::support::{Observed, Setup, Sizes, TestServer};

/// The sizes on the wire of the messages that are sent.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<usize>>>);

impl CallObserver for Sent {
    fn message_sent(&self, size: usize) {
        self.0.lock().unwrap().push(size);
    }
}

with_each_peer!(it_takes_compressed_responses, it_compresses_requests);

/// Our server prefers zstd and then gzip: no such client has zstd.
async fn it_takes_compressed_responses(peer: Peer) {
    let sent = Sent::default();
    let server = Server::builder()
        .compression([Compression::Zstd, Compression::Gzip])
        .interceptor(Observed(sent.clone()));
    let server = serve(server).await;
    let check = peer.check("compressed_responses", &server.target);
    check.await.run().await;
    assert_compressed(&std::mem::take(&mut *sent.0.lock().unwrap()));
}

async fn it_compresses_requests(peer: Peer) {
    let received = Sizes::default();
    let server = serve(Server::builder().interceptor(Observed(received.clone()))).await;
    let check = peer.check("compressed_requests", &server.target).await;
    // Gzip is 2 in gRPC's enumeration of algorithms.
    let options = r#"{"grpc.default_compression_algorithm": 2}"#;
    check.options(options).run().await;
    assert_compressed(&received.take());
}

async fn serve(server: Server) -> TestServer {
    TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await
}

/// Three messages of 10,000 bytes that are all the same.
fn assert_compressed(sizes: &[usize]) {
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|size| *size < 200), "{sizes:?}");
}
