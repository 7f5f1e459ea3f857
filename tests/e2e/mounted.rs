//! The server as a service inside of axum's.

use std::time::Duration;

use axum::routing::get;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status, tokio_stream};

use crate::support::{Event, PANIC, ProbeClient, Task, service, task};

struct Mounted {
    address: String,
    client: ProbeClient,
    events: mpsc::UnboundedReceiver<Event>,
    _served: AbortOnDropHandle<()>,
}

/// axum's server, with routes of its own beside the calls.
async fn mount(server: Server) -> Mounted {
    let (service, events) = service();
    let grpc = server.add_service(service).into_service().unwrap();
    let app = axum::Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route_service("/probe.Probe/{method}", grpc);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Mounted {
        client: ProbeClient::connect(&address).await.unwrap(),
        address,
        events,
        _served: AbortOnDropHandle::new(served),
    }
}

/// What a client of HTTP/1.1, such as curl, gets.
async fn http1(address: &str, request: Request<String>) -> (StatusCode, String) {
    let io = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn all_kinds_of_call_go_through_axum() {
    let mounted = mount(Server::builder()).await;
    let client = &mounted.client;
    let outcome = client.unary(task("a")).await.unwrap().into_inner();
    assert_eq!(outcome.name, "a");
    assert!(outcome.remaining_ms > 0, "the deadline came along");
    assert!(!outcome.trace_id.is_empty(), "the trace came along");
    let streamed = Task {
        count: 100,
        ..task("b")
    };
    let mut outcomes = client.server_stream(streamed).await.unwrap().into_inner();
    let mut received = 0;
    while outcomes.message().await.unwrap().is_some() {
        received += 1;
    }
    assert_eq!(received, 100);
    let tasks = || tokio_stream::iter(["c", "d"].map(task));
    let last = client.client_stream(tasks()).await.unwrap().into_inner();
    assert_eq!((last.name.as_str(), last.index), ("d", 2));
    let mut outcomes = client.bidi(tasks()).await.unwrap().into_inner();
    assert_eq!(outcomes.message().await.unwrap().unwrap().name, "c");
    assert_eq!(outcomes.message().await.unwrap().unwrap().name, "d");
    assert_eq!(outcomes.message().await.unwrap(), None);
}

#[tokio::test]
async fn routes_beside_calls_are_reached_by_http1() {
    let mounted = mount(Server::builder()).await;
    let request = Request::get("/hello")
        .header("host", "test")
        .body(String::new());
    let answered = http1(&mounted.address, request.unwrap()).await;
    assert_eq!(answered, (StatusCode::OK, "hello".to_owned()));
}

#[tokio::test]
async fn a_call_over_http1_is_refused() {
    let mounted = mount(Server::builder()).await;
    let request = Request::post("/probe.Probe/Unary")
        .header("host", "test")
        .header("content-type", "application/grpc")
        .body(String::new());
    let (status, _) = http1(&mounted.address, request.unwrap()).await;
    assert_eq!(status, StatusCode::HTTP_VERSION_NOT_SUPPORTED);
}

#[tokio::test]
async fn a_deadline_ends_a_mounted_call_and_its_work() {
    let mut mounted = mount(Server::builder()).await;
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = mounted
        .client
        .unary(hanging)
        .timeout(Duration::from_millis(50));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    expect_cancelled(&mut mounted.events).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_a_mounted_call() {
    let mut mounted = mount(Server::builder()).await;
    let hanging = Task {
        count: 1,
        hang: true,
        ..task("a")
    };
    let mut outcomes = mounted
        .client
        .server_stream(hanging)
        .await
        .unwrap()
        .into_inner();
    outcomes.message().await.unwrap().unwrap();
    drop(outcomes);
    expect_cancelled(&mut mounted.events).await;
}

/// The handler of "a" starts, is dropped, and the token of its work fires.
async fn expect_cancelled(events: &mut mpsc::UnboundedReceiver<Event>) {
    assert_eq!(events.recv().await, Some(Event::Started("a".into())));
    let mut after = [events.recv().await.unwrap(), events.recv().await.unwrap()];
    after.sort_by_key(|event| matches!(event, Event::TokenFired(_)));
    assert_eq!(
        after,
        [Event::Dropped("a".into()), Event::TokenFired("a".into())]
    );
}

#[tokio::test]
async fn a_panic_and_a_status_of_a_mounted_handler_reach_the_caller() {
    let mounted = mount(Server::builder()).await;
    let client = &mounted.client;
    let status = client.unary(task(PANIC)).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let failing = Task {
        code: Code::NotFound as i32,
        ..task("failing")
    };
    let status = client.unary(failing).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "as told")
    );
}

/// Refuses all calls.
struct Refuse;

impl Interceptor for Refuse {
    async fn intercept(&self, _: InterceptedCall, _: Next<'_>) -> Result<Response<()>, Status> {
        Err(Status::permission_denied("not today"))
    }
}

#[tokio::test]
async fn interceptors_run_in_a_mounted_server() {
    let (service, _events) = service();
    let server = Server::builder().interceptor(Refuse).add_service(service);
    let app = axum::Router::new().fallback_service(server.into_service().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = axum::serve(listener, app).into_future();
    let _served = AbortOnDropHandle::new(tokio::spawn(served));
    let client = ProbeClient::connect(&address).await.unwrap();
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_body_that_is_dropped_cancels_its_call() {
    use tower_service::Service as _;
    let (service, mut events) = service();
    let mut grpc = Server::builder()
        .add_service(service)
        .into_service()
        .unwrap();
    let body = http_body_util::Full::new(frame(&Task {
        count: 1,
        hang: true,
        ..task("a")
    }));
    let request = Request::post("/probe.Probe/ServerStream")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(body);
    let response = grpc.call(request.unwrap()).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    drop(body);
    expect_cancelled(&mut events).await;
}

/// A message as gRPC frames it.
fn frame(message: &impl prost::Message) -> bytes::Bytes {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &encoded].concat().into()
}
