//! grpcio calls our server.

use std::time::Duration;

use crate::python::Python;
use crate::support::{Event, Setup, TestServer, serve};
use wireloom::Server;

/// Runs one check of `client.py` against a server of ours.
async fn check(name: &str) {
    let (server, _) = serve().await;
    run(name, &server.target).await;
}

pub async fn run(name: &str, target: &str) {
    let python = Python::new().await;
    let target = target.strip_prefix("http://").unwrap();
    let mut program = python.program("client.py");
    let output = program
        .args([target, name])
        .stderr(std::process::Stdio::piped())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        #[ignore = "needs Python's grpcio, which .ci/run installs"]
        async fn $name() {
            check(stringify!($name)).await;
        }
    )*};
}

checks! {
    unary,
    server_streaming,
    client_streaming,
    bidi_streaming,
    deadline,
    deadline_reaches_the_handler,
    status_details,
    status_after_messages,
    unimplemented,
    compressed_requests,
    answers_around_the_window,
    health,
    health_by_a_probe,
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn cancellation_drops_the_handler() {
    let (mut server, _) = serve().await;
    run("cancellation", &server.target).await;
    assert_eq!(server.event().await, Event::Started("cancelled".into()));
    assert_eq!(server.event().await, Event::Dropped("cancelled".into()));
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_client_loses_no_call_to_connections_that_get_old() {
    let setup = Setup {
        server: Server::builder().max_connection_age(Duration::from_millis(50)),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    run("many_connections", &server.target).await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_watch_of_health_sees_the_shutdown() {
    let (mut server, _) = serve().await;
    let target = server.target.clone();
    let watching = tokio::spawn(async move { run("health_watch", &target).await });
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
    run(name, &server.target).await;
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
