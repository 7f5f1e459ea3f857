//! Our client calls a server of grpcio.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use wireloom::metadata::MetadataValue;
use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{Code, Compression, Request};

use crate::python::Python;
use crate::support::{ProbeClient, Task, task};

struct Server {
    _python: Python,
    _process: Child,
    client: ProbeClient,
}

async fn serve() -> Server {
    serve_compressed("NoCompression").await
}

/// A server whose responses have this `grpc.Compression`.
async fn serve_compressed(compression: &str) -> Server {
    let python = Python::new().await;
    let mut program = python.program("server.py");
    let mut process = program.arg(compression).spawn().unwrap();
    let mut port = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut port).await.unwrap();
    let client = ProbeClient::connect(&format!("http://127.0.0.1:{}", port.trim()))
        .await
        .unwrap();
    Server {
        _python: python,
        _process: process,
        client,
    }
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn unary_with_metadata_both_ways() {
    let server = serve().await;
    let mut request = Request::new(task("a"));
    request
        .metadata_mut()
        .insert_bin("echo-bin", MetadataValue::from_bytes(b"\x00\xff"));
    let response = server
        .client
        .unary(request)
        .metadata("echo", "spoken")
        .await
        .unwrap();
    assert_eq!(response.metadata().get("echo").unwrap(), "spoken");
    assert_eq!(
        response
            .metadata()
            .get_bin("echo-bin")
            .unwrap()
            .to_bytes()
            .unwrap(),
        b"\x00\xff"[..]
    );
    assert_eq!(response.get_ref().trace_id.len(), 32);
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn messages_compressed_both_ways() {
    let server = serve_compressed("Gzip").await;
    let large = task(&"a".repeat(10_000));
    let call = server.client.unary(large.clone());
    let outcome = call.compression(Compression::Gzip).await.unwrap();
    assert_eq!(outcome.get_ref().name, large.name);

    let tasks = stream::iter([large.clone(), large]);
    let call = server.client.bidi(tasks).compression(Compression::Gzip);
    let outcomes: Vec<_> = call.await.unwrap().into_inner().collect().await;
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn server_streaming() {
    let server = serve().await;
    let responses = server
        .client
        .server_stream(Task {
            count: 1000,
            ..task("a")
        })
        .await
        .unwrap();
    let outcomes: Vec<_> = responses
        .into_inner()
        .map(|outcome| outcome.unwrap().index)
        .collect()
        .await;
    assert_eq!(outcomes, Vec::from_iter(0..1000));
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn client_streaming() {
    let server = serve().await;
    let tasks = stream::iter((0..1000).map(|i| task(&i.to_string())));
    let outcome = server
        .client
        .client_stream(tasks)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((outcome.index, outcome.name.as_str()), (1000, "999"));
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn bidi_streaming() {
    let server = serve().await;
    let tasks = stream::iter((0..100).map(|count| Task { count, ..task("a") }));
    let responses = server.client.bidi(tasks).await.unwrap();
    let outcomes: Vec<_> = responses
        .into_inner()
        .map(|outcome| outcome.unwrap().index)
        .collect()
        .await;
    assert_eq!(outcomes, Vec::from_iter(0..100));
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn deadlines_of_calls_and_of_streams() {
    let server = serve().await;
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let short = Duration::from_millis(200);
    let status = server
        .client
        .unary(hanging.clone())
        .timeout(short)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let call = server
        .client
        .server_stream(Task {
            count: 1,
            ..hanging
        })
        .timeout(short);
    let mut responses = call.await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();
    assert_eq!(
        responses.message().await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_deadline_reaches_the_handler() {
    let server = serve().await;
    let call = server
        .client
        .unary(task("a"))
        .timeout(Duration::from_secs(60));
    let remaining = call.await.unwrap().into_inner().remaining_ms;
    assert!((1..=60_000).contains(&remaining), "{remaining}");
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn status_details() {
    let server = serve().await;
    let status = server
        .client
        .unary(Task {
            code: Code::NotFound as i32,
            ..task("a")
        })
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "as told")
    );
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(
        details.contains("type.googleapis.com/google.protobuf.Duration"),
        "{details}"
    );
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_retried_call_succeeds() {
    let server = serve().await;
    let failing = Task {
        code: Code::Unavailable as i32,
        failing_attempts: 2,
        ..task("a")
    };
    assert_eq!(
        server
            .client
            .retried(failing)
            .await
            .unwrap()
            .into_inner()
            .previous_attempts,
        2
    );
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_status_after_messages_ends_the_stream_with_it() {
    let server = serve().await;
    let failing = Task {
        count: 2,
        code: Code::Aborted as i32,
        ..task("a")
    };
    let mut responses = server
        .client
        .server_stream(failing)
        .await
        .unwrap()
        .into_inner();
    assert!(responses.message().await.unwrap().is_some());
    assert!(responses.message().await.unwrap().is_some());
    assert_eq!(responses.message().await.unwrap_err().code(), Code::Aborted);
}
