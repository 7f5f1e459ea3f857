//! Clients of grpcio and of grpc-js call our server.

use std::time::Duration;

use crate::peers::{Peer, with_each_peer};
use crate::support::{Event, Setup, TestServer, serve};
use wireloom::Server;

/// Runs one check of `client.py` or of `client.js`.
pub async fn run(peer: Peer, name: &str, target: &str) {
    peer.check(name, target).await.run().await;
}

/// Makes of each name of a check a test against a server of ours, and of each function behind them one that it makes by itself.
macro_rules! checks {
    ($($check:ident),+; $($test:ident),+) => {
        $(
            async fn $check(peer: Peer) {
                let (server, _) = serve().await;
                run(peer, stringify!($check), &server.target).await;
            }
        )+

        with_each_peer!($($check,)+ $($test),+);
    };
}

checks! {
    unary,
    server_streaming,
    client_streaming,
    bidi_streaming,
    deadline_reaches_the_handler,
    status_details,
    status_after_messages,
    unimplemented,
    answers_around_the_window;
    a_deadline_drops_the_handler,
    cancellation_drops_the_handler
}

async fn a_deadline_drops_the_handler(peer: Peer) {
    let (mut server, _) = serve().await;
    run(peer, "deadline", &server.target).await;
    // A unary call, and a stream after its first message.
    let (mut started, mut dropped) = (0, 0);
    while dropped < 2 {
        match server.event().await {
            Event::Started(_) => started += 1,
            Event::Dropped(_) => dropped += 1,
            Event::TokenFired(_) => {}
        }
    }
    assert_eq!(started, 2);
}

async fn cancellation_drops_the_handler(peer: Peer) {
    let (mut server, _) = serve().await;
    run(peer, "cancellation", &server.target).await;
    assert_eq!(server.event().await, Event::Started("cancelled".into()));
    assert_eq!(server.event().await, Event::Dropped("cancelled".into()));
}

/// Only grpcio has what these need.
macro_rules! checks_of_grpcio {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test]
        #[ignore = "needs Python's grpcio, which .ci/run installs"]
        async fn $name() {
            let (server, _) = serve().await;
            run(Peer::Grpcio, stringify!($name), &server.target).await;
        }
    )+};
}

checks_of_grpcio!(health, health_by_a_probe);

/// gRPC's C core makes of a Unix socket's path an `:authority` that HTTP/2 libraries refuse, unless it is given one.
#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_client_calls_over_a_unix_socket_with_an_authority_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(Setup {
        address: format!("unix:{}", folder.path().join("probe.sock").display()),
        ..Setup::default()
    })
    .await;
    let check = Peer::Grpcio.check("unary", &server.target).await;
    let options = r#"{"grpc.default_authority": "localhost"}"#;
    check.options(options).run().await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_client_loses_no_call_to_connections_that_get_old() {
    let setup = Setup {
        server: Server::builder().max_connection_age(Duration::from_millis(50)),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    run(Peer::Grpcio, "many_connections", &server.target).await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_watch_of_health_sees_the_shutdown() {
    let (mut server, _) = serve().await;
    let target = server.target.clone();
    let watching = tokio::spawn(async move { run(Peer::Grpcio, "health_watch", &target).await });
    // The watch is open once the client calls.
    assert_eq!(server.event().await, Event::Started("watching".into()));
    assert_eq!(server.stopped().await.cut_off_calls, 0);
    watching.await.unwrap();
}

/// Runs one check of `client.py` against a server that answers reflection.
async fn check_reflection(name: &str) {
    let server = TestServer::start(Setup {
        server: Server::builder().reflection(),
        ..Setup::default()
    })
    .await;
    run(Peer::Grpcio, name, &server.target).await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn reflection_tells_of_all_services_and_types() {
    check_reflection("reflection").await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn reflection_answers_in_one_stream() {
    check_reflection("reflection_v1").await;
}
