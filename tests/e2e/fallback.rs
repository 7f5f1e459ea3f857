//! Requests that are not gRPC, on the port of calls: axum answers them.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wireloom::{Code, Server};

use crate::events::Events;
use crate::support::{Event, ProbeClient, Setup, Task, TestServer, task};

fn routes() -> axum::Router {
    axum::Router::new()
        .route("/hello", axum::routing::get(|| async { "hello" }))
        .route("/echo", axum::routing::post(|body: Bytes| async { body }))
        .route(
            "/panic",
            axum::routing::get(|| async { panic!("as asked") as &str }),
        )
}

async fn serve(server: Server) -> TestServer {
    TestServer::start(Setup {
        server: server.fallback(routes()),
        ..Setup::default()
    })
    .await
}

/// What `target` answers over HTTP/2: the status and the body.
async fn request_http2(target: &str, request: Request<()>, sent: &str) -> (StatusCode, Vec<u8>) {
    let address = target.strip_prefix("http://").unwrap();
    let io = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(Bytes::copy_from_slice(sent.as_bytes()), true)
        .unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        received.extend(data);
    }
    (head.status, received)
}

#[tokio::test]
async fn axum_s_routes_answer_beside_calls_on_one_port() {
    let server = serve(Server::builder()).await;
    let target = &server.target;
    server.client().await.unary(task("a")).await.unwrap();
    let get = Request::get(format!("{target}/hello")).body(()).unwrap();
    let answered = request_http2(target, get, "").await;
    assert_eq!(answered, (StatusCode::OK, b"hello".to_vec()));
    let post = Request::post(format!("{target}/echo")).body(()).unwrap();
    let long = "x".repeat(100_000);
    let answered = request_http2(target, post, &long).await;
    assert_eq!(answered, (StatusCode::OK, long.into_bytes()));
    let get = Request::get(format!("{target}/nowhere")).body(()).unwrap();
    let (status, _) = request_http2(target, get, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// A connection of HTTP/1.1, as curl makes it.
async fn connect_http1(target: &str) -> SendRequest<String> {
    let address = target.strip_prefix("http://").unwrap();
    let io = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn request_http1(
    sender: &mut SendRequest<String>,
    method: &str,
    path: &str,
    content_type: &str,
    sent: &str,
) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "probe.test")
        .header("content-type", content_type)
        .body(sent.to_owned());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http1_and_calls_share_a_port() {
    let server = serve(Server::builder().accept_http1()).await;
    let client = server.client().await;
    client.unary(task("a")).await.unwrap();
    let mut http1 = connect_http1(&server.target).await;
    let answered = request_http1(&mut http1, "GET", "/hello", "text/plain", "").await;
    assert_eq!(answered, (StatusCode::OK, "hello".to_owned()));
    let long = "x".repeat(100_000);
    let answered = request_http1(&mut http1, "POST", "/echo", "text/plain", &long).await;
    assert_eq!(answered, (StatusCode::OK, long));
    let grpc = "application/grpc";
    let (status, _) = request_http1(&mut http1, "POST", "/probe.Probe/Unary", grpc, "").await;
    assert_eq!(status, StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    client.unary(task("b")).await.unwrap();
}

#[tokio::test]
async fn http1_is_not_spoken_unless_it_is_accepted_which_both_sides_are_told() {
    let (events, _guard) = Events::listen();
    let server = serve(Server::builder()).await;
    let body = "x".repeat(32 << 10);
    for (method, path, sent) in [("GET", "/hello", ""), ("POST", "/echo", &body)] {
        let mut http1 = connect_http1(&server.target).await;
        let answered = request_http1(&mut http1, method, path, "text/plain", sent).await;
        assert_eq!(answered.0, StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        assert!(
            answered.1.contains("`Server::accept_http1`"),
            "{answered:?}"
        );
        http1.ready().await.unwrap_err();
        let told = events.with("a peer is not served");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("DEBUG ") && told[0].contains("`Server::accept_http1`"));
    }
}

#[tokio::test]
async fn a_peer_that_speaks_what_nobody_serves_is_told_of_and_not_answered() {
    let (events, _guard) = Events::listen();
    for server in [Server::builder, || Server::builder().accept_http1()] {
        let server = serve(server()).await;
        let address = server.target.strip_prefix("http://").unwrap();
        for (said, why) in [
            (&[22, 3, 1][..], "it speaks TLS"),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n",
                "it speaks the PROXY protocol",
            ),
            (b"\r\n\r\n\0\r\nQUIT\n", "it speaks the PROXY protocol"),
            (b"\0\0\x12", "it speaks neither HTTP/2 nor HTTP/1.1"),
        ] {
            let mut io = TcpStream::connect(address).await.unwrap();
            io.write_all(said).await.unwrap();
            let mut answer = Vec::new();
            let _ = io.read_to_end(&mut answer).await;
            assert_eq!(answer, b"");
            let told = events.with("a peer is not served");
            assert!(told[0].contains(why), "{told:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_of_http1_that_is_kept_open_holds_up_no_shutdown() {
    let server = serve(Server::builder().accept_http1()).await;
    let mut http1 = connect_http1(&server.target).await;
    request_http1(&mut http1, "GET", "/hello", "text/plain", "").await;
    let silent = TcpStream::connect(server.target.strip_prefix("http://").unwrap()).await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stopped()).await;
    assert_eq!(stopped.expect("it stops").cut_off_calls, 0);
    drop(silent);
}

#[tokio::test]
async fn routes_that_hang_are_cut_off_at_the_limit() {
    let (started, mut starts) = mpsc::channel(2);
    let hang = async move || {
        started.send(()).await.unwrap();
        std::future::pending::<&str>().await
    };
    let routes = axum::Router::new().route("/hang", axum::routing::get(hang));
    let setup = Setup {
        server: Server::builder().fallback(routes).accept_http1(),
        shutdown_timeout: Duration::from_millis(50),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let target = server.target.clone();
    let by_http2 = tokio::spawn(async move {
        let get = Request::get(format!("{target}/hang")).body(()).unwrap();
        request_http2(&target, get, "").await
    });
    let mut http1 = connect_http1(&server.target).await;
    let request = Request::get("/hang").header("host", "probe.test");
    let request = request.body(String::new()).unwrap();
    let by_http1 = tokio::spawn(async move { http1.send_request(request).await });
    for _ in 0..2 {
        starts.recv().await.unwrap();
    }
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stopped()).await;
    stopped.expect("it stops");
    by_http1.await.unwrap().unwrap_err();
    by_http2.await.unwrap_err();
}

#[tokio::test]
async fn a_panic_of_a_route_ends_no_call() {
    let mut server = serve(Server::builder().accept_http1()).await;
    let client = server.client().await;
    let slow = Task {
        hang: true,
        ..task("a")
    };
    let call = client.unary(slow).timeout(Duration::from_millis(500));
    let call = tokio::spawn(async move { call.await });
    assert_eq!(server.event().await, Event::Started("a".into()));
    let mut http1 = connect_http1(&server.target).await;
    let request = Request::get("/panic").header("host", "probe.test");
    let request = request.body(String::new()).unwrap();
    let response = http1.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    ProbeClient::connect(&server.target).await.unwrap();
}

#[tokio::test]
async fn a_connection_of_http1_ends_at_its_age() {
    let server = Server::builder()
        .accept_http1()
        .max_connection_age(Duration::from_millis(50));
    let server = serve(server).await;
    let mut http1 = connect_http1(&server.target).await;
    let to_the_end = async {
        while http1.ready().await.is_ok() {
            let request = Request::get("/hello").header("host", "probe.test");
            let request = request.body(String::new()).unwrap();
            if http1.send_request(request).await.is_err() {
                break;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), to_the_end).await;
    ended.expect("the connection ends");
}

#[tokio::test]
async fn a_connection_of_http1_ends_once_it_was_idle_for_too_long() {
    let server = Server::builder()
        .accept_http1()
        .max_connection_idle(Duration::from_millis(50));
    let server = serve(server).await;
    let mut http1 = connect_http1(&server.target).await;
    request_http1(&mut http1, "GET", "/hello", "text/plain", "").await;
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while !http1.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    ended.await.expect("the connection ends");
}

/// Says when it is dropped.
struct TellsItsEnd(mpsc::UnboundedSender<()>);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_connection_of_http1_that_takes_nothing_of_its_response_is_ended() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let endless = async move || {
        let body = TellsItsEnd(ended.clone());
        axum::body::Body::from_stream(async_stream::stream! {
            let _body = body;
            loop {
                yield Ok::<_, std::convert::Infallible>(Bytes::from_static(&[0; 64 << 10]));
            }
        })
    };
    let routes = axum::Router::new().route("/endless", axum::routing::get(endless));
    let setup = Setup {
        server: Server::builder()
            .fallback(routes)
            .accept_http1()
            .write_stall_timeout(Duration::from_millis(300)),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let address = server.target.strip_prefix("http://").unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let get = b"GET /endless HTTP/1.1\r\nhost: probe.test\r\n\r\n";
    silent.write_all(get).await.unwrap();
    // What the system takes by itself is taken first.
    let given_up = tokio::time::timeout(Duration::from_secs(20), ends.recv());
    given_up.await.expect("the response is given up");
    drop(silent);
}
