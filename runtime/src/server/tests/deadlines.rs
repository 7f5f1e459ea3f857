//! Calls past their deadline, whatever they wait for.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, body::Body};

use super::{Call, Codes, MANY, Serve, Server, UNARY, answer, call_by_hand};

/// Panics when it is dropped, as a user's type may.
struct PanicsAtLast;

impl Drop for PanicsAtLast {
    fn drop(&mut self) {
        panic!("as told");
    }
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_dropped_ends_by_its_deadline() {
    let server = Server::builder().add_service(Serve(|call: Call| {
        call.unary(&UNARY, |_: Request<String>| async {
            let _at_last = PanicsAtLast;
            std::future::pending().await
        })
    }));
    let response = call_by_hand(server, "/test.Test/Unary", &[("grpc-timeout", "50m")]).await;
    assert_eq!(response.headers()["grpc-status"], "4");
}

/// Streams messages of 10,000 bytes: so many, and then waits for ever.
fn stream_and_wait(messages: usize) -> Server {
    Server::builder().add_service(Serve(move |call: Call| {
        call.server_streaming(&MANY, move |_: Request<String>| async move {
            let messages = stream::iter(vec!["x".repeat(10_000); messages]).map(Ok);
            Ok(Response::new(messages.chain(stream::pending())))
        })
    }))
}

/// What a caller gets that takes nothing until its deadline, of 100 milliseconds, is long past: the bytes, and how the
/// stream ended.
async fn read_late(server: Server) -> (usize, Result<(), h2::Error>) {
    read_late_with(server, &[("grpc-timeout", "100m")]).await
}

async fn read_late_with(server: Server, fields: &[(&str, &str)]) -> (usize, Result<(), h2::Error>) {
    let response = call_by_hand(server, "/test.Test/Many", fields).await;
    let mut body = response.into_body();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut taken = 0;
    let to_the_end = async {
        while let Some(data) = body.data().await {
            taken += data?.len();
        }
        Ok(())
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), to_the_end).await;
    (taken, ended.expect("the stream is still open"))
}

#[tokio::test]
async fn rule_50_expiry_resets_a_stream_whose_peer_has_no_room_for_the_next_message() {
    let (_, ended) = read_late(stream_and_wait(100)).await;
    assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
}

#[tokio::test]
async fn rule_50_expiry_resets_a_stream_whose_peer_has_no_room_for_the_last_message() {
    // The window of 65,535 bytes takes a part of the seventh.
    let (_, ended) = read_late(stream_and_wait(7)).await;
    assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
}

#[tokio::test]
async fn rule_50_expiry_resets_a_stream_that_has_ended_but_not_left() {
    let server = Server::builder().add_service(Serve(|call: Call| {
        call.server_streaming(&MANY, |_: Request<String>| async move {
            let messages = stream::iter(vec!["x".repeat(10_000); 7]).map(Ok);
            Ok(Response::new(messages))
        })
    }));
    let (taken, ended) = read_late(server).await;
    assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
    assert!(taken < 70_000, "{taken}");
}

#[tokio::test]
async fn rule_50_expiry_resets_a_call_whose_peer_has_no_room_for_its_answer() {
    let codes = Codes::default();
    let server = answer(100_000).interceptor(codes.clone());
    let (taken, ended) = read_late(server).await;
    assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
    assert!(taken < 100_000, "{taken}");
    assert_eq!(*codes.0.lock().unwrap(), [Code::DeadlineExceeded]);
}

#[tokio::test]
async fn a_handler_that_never_waits_for_anything_but_its_turn_ends_at_its_deadline() {
    let server = Server::builder().add_service(Serve(|call: Call| {
        call.unary(&UNARY, |_: Request<String>| async {
            loop {
                tokio::task::consume_budget().await;
            }
            #[allow(unreachable_code)]
            Ok(Response::new(String::new()))
        })
    }));
    let call = call_by_hand(server, "/test.Test/Unary", &[("grpc-timeout", "100m")]);
    let response = tokio::time::timeout(Duration::from_secs(5), call).await;
    let response = response.expect("the call has ended");
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn rule_50_holds_inside_of_http_layers() {
    for messages in [7, 100] {
        let server = stream_and_wait(messages).layer(tower_layer::Identity::new());
        let (_, ended) = read_late(server).await;
        assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
    }
}

#[tokio::test]
async fn rule_50_holds_for_the_deadline_that_the_server_gives_a_call() {
    let server = || stream_and_wait(100).default_timeout(Duration::from_millis(100));
    for server in [server(), server().layer(tower_layer::Identity::new())] {
        let (_, ended) = read_late_with(server, &[]).await;
        assert_eq!(ended.unwrap_err().reason(), Some(h2::Reason::CANCEL));
    }
}

#[tokio::test]
async fn rule_49_expiry_is_told_in_trailers_where_the_peer_has_room() {
    let response = call_by_hand(
        stream_and_wait(1),
        "/test.Test/Many",
        &[("grpc-timeout", "100m")],
    )
    .await;
    let mut body = response.into_body();
    let data = body.data().await.unwrap().unwrap();
    assert!(data.len() > 10_000);
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_passes_before_its_turn_on_the_runtime_reaches_no_handler() {
    let reached = Arc::new(Mutex::new(0));
    let count = Arc::clone(&reached);
    let server = Server::builder().add_service(Serve(move |call: Call| {
        *count.lock().unwrap() += 1;
        call.unary(&UNARY, async |_: Request<String>| {
            Ok(Response::new(String::new()))
        })
    }));
    let mut server = server.into_service().unwrap();
    let mut call = |timeout| {
        let request = http::Request::post("/test.Test/Unary")
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout);
        tower_service::Service::call(&mut server, request.body(Body::empty()).unwrap())
    };
    let (late, in_time) = (call("10m"), call("1S"));
    tokio::time::advance(Duration::from_millis(11)).await;
    let late = late.await.unwrap();
    assert_eq!(late.headers()["grpc-status"], "4");
    assert_eq!(*reached.lock().unwrap(), 0);
    in_time.await.unwrap();
    assert_eq!(*reached.lock().unwrap(), 1);
}

/// The body of a request that never comes.
struct Endless;

impl http_body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_states_no_deadline_has_that_of_the_server() {
    let server = Server::builder()
        .default_timeout(Duration::from_secs(10))
        .add_service(Serve(|call: Call| {
            call.unary(&UNARY, async |_: Request<String>| {
                Ok(Response::new(String::new()))
            })
        }));
    let mut server = server.into_service().unwrap();
    let mut send = |path, timeout: Option<&str>| {
        let mut request = http::Request::post(path)
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let request = request.body(Body::new(Endless)).unwrap();
        tower_service::Service::call(&mut server, request)
    };
    for (stated, seconds) in [(None, 10), (Some("20S"), 20), (Some("5S"), 5)] {
        let began = tokio::time::Instant::now();
        let response = send("/test.Test/Unary", stated).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(began.elapsed().as_secs(), seconds, "{stated:?}");
    }
    // Who keeps a server running watches it for as long as it likes.
    let watch = send("/grpc.health.v1.Health/Watch", None);
    let ended = tokio::time::timeout(Duration::from_secs(3600), watch).await;
    assert!(ended.is_err());
}
