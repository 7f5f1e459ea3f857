//! Keepalive: ours against what C++ servers allow, which grpcio's are; and that of others against what our server allows.

use std::time::Duration;

use tokio::time::timeout;
use wireloom::{Channel, Code, Server};

use crate::peers::{Peer, Served, with_each_peer};
use crate::support::{ProbeClient, Setup, Task, TestServer, task};

/// Long enough for three pings of the shortest keepalive.
const THREE_PINGS: Duration = Duration::from_secs(33);

/// How a call that hangs ended within three pings, if it did.
async fn hanging_call(server: &Served) -> Option<Code> {
    let target = format!("http://127.0.0.1:{}", server.port);
    let channel = Channel::builder(&target).keepalive(Duration::from_secs(10));
    let client = ProbeClient::new(channel.connect().await.unwrap());
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = client.unary(hanging).no_timeout();
    let ended = timeout(THREE_PINGS, call).await;
    ended.ok().map(|ended| ended.unwrap_err().code())
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_server_takes_pings_as_often_as_it_allows() {
    let allowing = r#"{"grpc.http2.min_ping_interval_without_data_ms": 9000}"#;
    let server = Served::with_options(allowing).await;
    assert_eq!(hanging_call(&server).await, None);
}

with_each_peer!(one_that_pings_too_often_is_told_so_and_pings_less_often);

/// A client that is told `too_many_pings` loses its connection and the calls on it, and from then on pings half as often
/// (gRFC A8): every second at first, which is as often as grpcio does, and then no longer too often.
async fn one_that_pings_too_often_is_told_so_and_pings_less_often(peer: Peer) {
    let server = TestServer::start(Setup {
        server: Server::builder().min_ping_interval(Duration::from_millis(1500)),
        ..Setup::default()
    })
    .await;
    let check = peer.check("pings", &server.target).await;
    let options = r#"{"grpc.keepalive_time_ms": 1000, "grpc.http2.max_pings_without_data": 0}"#;
    let printed = check.options(options).run().await;
    // The calls that the server ended.
    assert_eq!(printed.output, "1", "{}", printed.errors);
    let told = match peer {
        Peer::Grpcio => "too_many_pings",
        Peer::GrpcJs => "rejected by server because of excess pings",
    };
    assert!(printed.errors.contains(told), "{}", printed.errors);
}
