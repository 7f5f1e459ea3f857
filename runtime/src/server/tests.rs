//! Servers on a socket of this machine.

mod layers;
mod trailers;
mod unread;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio::net::TcpStream;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, body::Body, metadata::MetadataValue};

use super::{Call, CutOff, Limits, Listener, RateLimit, Reply, Server, Service};
use crate::{
    channel::Channel,
    frame,
    interceptor::{CallObserver, InterceptedCall, Interceptor, Next, panicking::PanickingObserver},
    method::Method,
    streaming::Streaming,
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static MANY: Method<String, String> = Method::server_streaming("/test.Test/Many");
static UP: Method<String, String> = Method::client_streaming("/test.Test/Up");

/// A service that is a function.
pub(super) struct Serve<F>(pub(super) F);

impl<F, Answer> Service for Serve<F>
where
    F: Fn(Call) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Reply> + Send,
{
    const NAME: &'static str = "test.Test";

    async fn call(&self, call: Call) -> Reply {
        (self.0)(call).await
    }
}

/// Serves by `server`, at the target that comes back.
async fn listen(server: Server) -> String {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    tokio::spawn(server.serve(listener));
    target
}

/// A channel to `server`.
async fn serve(server: Server) -> Channel {
    Channel::connect(&listen(server).await).await.unwrap()
}

/// Calls `server` by hand: a request with one message and these header fields.
async fn call_by_hand(
    server: Server,
    path: &str,
    fields: &[(&str, &str)],
) -> http::Response<h2::RecvStream> {
    let target = listen(server).await;
    let address = target.strip_prefix("http://").unwrap();
    let io = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut head =
        http::Request::post(format!("{target}{path}")).header("content-type", "application/grpc");
    for (name, value) in fields {
        head = head.header(*name, *value);
    }
    let (response, mut body) = sender.send_request(head.body(()).unwrap(), false).unwrap();
    let message = frame::encode(&"request".to_owned()).unwrap();
    body.send_data(message, true).unwrap();
    response.await.unwrap()
}

#[tokio::test]
async fn a_stream_of_requests_ends_after_a_message_over_the_limit() {
    /// Says what came, up to ten items: a stream that does not end yields more for ever.
    async fn read(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
        let code = |item: Result<String, Status>| item.map_or_else(|e| e.code(), |_| Code::Ok);
        let codes: Vec<_> = request.into_inner().map(code).take(10).collect().await;
        Ok(Response::new(format!("{codes:?}")))
    }
    let server = Server::builder()
        .max_receive_message_size(8)
        .add_service(Serve(|call: Call| call.client_streaming(&UP, read)));
    let requests = stream::iter(["one", "far too long", "two"].map(str::to_owned));
    let call = serve(server).await.client_streaming(&UP, requests);
    assert_eq!(call.await.unwrap().into_inner(), "[Ok, ResourceExhausted]");
}

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

#[tokio::test]
async fn an_observer_that_panics_before_the_end_ends_its_call_with_internal() {
    let observer = PanickingObserver { at_the_end: false };
    let server = Server::builder().interceptor(observer);
    let server = server.add_service(Serve(|call: Call| async {
        match call.path() {
            "/test.Test/Unary" => {
                call.unary(&UNARY, async |request: Request<String>| {
                    Ok(Response::new(request.into_inner()))
                })
                .await
            }
            _ => {
                call.server_streaming(&MANY, async |_: Request<String>| {
                    Ok(Response::new(stream::iter([Ok("reply".to_owned())])))
                })
                .await
            }
        }
    }));
    let channel = serve(server).await;
    let unary = channel.unary(&UNARY, String::new()).await;
    assert_eq!(unary.unwrap_err().code(), Code::Internal);
    let many = channel.server_streaming(&MANY, String::new()).await;
    let reply = many.unwrap().into_inner().message().await;
    assert_eq!(reply.unwrap_err().code(), Code::Internal);
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

/// Answers each call with one message of so many bytes.
fn answer(bytes: usize) -> Server {
    Server::builder().add_service(Serve(move |call: Call| {
        call.unary(&UNARY, move |_: Request<String>| async move {
            Ok(Response::new("x".repeat(bytes)))
        })
    }))
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
async fn an_answer_that_the_peer_has_no_room_for_at_once_leaves_as_it_makes_some() {
    let response = call_by_hand(
        answer(1_000_000),
        "/test.Test/Unary",
        &[("grpc-timeout", "20S")],
    )
    .await;
    let mut body = response.into_body();
    let mut taken = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        taken += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    // Five bytes before the message, four of its tag and length.
    assert_eq!(taken, 1_000_009);
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
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

#[tokio::test]
async fn a_status_reaches_the_caller_without_metadata_that_http2_forbids() {
    let server = Server::builder().add_service(Serve(|call: Call| {
        call.unary(&UNARY, |_: Request<String>| async {
            let mut status = Status::not_found("no such thing");
            let metadata = status.metadata_mut();
            metadata.insert("connection", MetadataValue::from_static("close"));
            metadata.insert("tenant", MetadataValue::from_static("blue"));
            Err::<Response<String>, _>(status)
        })
    }));
    let call = serve(server).await.unary(&UNARY, "request".to_owned());
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert_eq!(status.metadata().get("tenant").unwrap(), "blue");
    assert!(!status.metadata().contains_key("connection"));
}

/// Notes the codes that calls end with: as the interceptor is told, and as the observer is.
#[derive(Clone, Default)]
struct Codes(Arc<Mutex<Vec<Code>>>);

impl CallObserver for Codes {
    fn ended(&self, status: &Status) {
        self.0.lock().unwrap().push(status.code());
    }
}

impl Interceptor for Codes {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(self.clone());
        let response = next.run(call).await;
        let status = response.as_ref().err();
        self.0.lock().unwrap().extend(status.map(Status::code));
        response
    }
}

#[tokio::test]
async fn interceptors_and_observers_see_a_call_that_is_refused_for_its_headers() {
    for (name, value, code) in [
        ("grpc-timeout", "soon", Code::InvalidArgument),
        ("grpc-encoding", "lzma", Code::Unimplemented),
    ] {
        let codes = Codes::default();
        let server = answer(1).interceptor(codes.clone());
        let response = call_by_hand(server, "/test.Test/Unary", &[(name, value)]).await;
        let status = &response.headers()["grpc-status"];
        assert_eq!(Code::from_bytes(status.as_bytes()), code);
        assert_eq!(*codes.0.lock().unwrap(), [code, code], "{name}");
    }
}

#[tokio::test]
async fn a_call_in_an_encoding_that_is_not_supported_is_told_which_are() {
    for server in [answer(1), answer(1).interceptor(Codes::default())] {
        let fields = [("grpc-encoding", "lzma")];
        let response = call_by_hand(server, "/test.Test/Unary", &fields).await;
        assert_eq!(response.headers()["grpc-status"], "12");
        let accepted = response.headers()["grpc-accept-encoding"].to_str().unwrap();
        assert!(accepted.starts_with("identity"), "{accepted}");
    }
}

#[tokio::test]
async fn a_limit_that_lets_nobody_in_is_refused() {
    for (server, name) in [
        (
            answer(1).max_concurrent_streams(0),
            "max_concurrent_streams",
        ),
        (answer(1).max_connections(0), "max_connections"),
        (
            answer(1).max_connections_per_address(0),
            "max_connections_per_address",
        ),
    ] {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let served = server.serve_with_shutdown(listener, async {}).await;
        let status = served.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let expected = format!("{name} is 0, and must be more than 0");
        assert!(status.message().starts_with(&expected), "{status}");
    }
}

/// A service that reads messages by itself, and knows an encoding of its own, or none.
#[cfg(feature = "tonic")]
#[derive(Clone)]
struct ByItself {
    knows_lzma: bool,
}

#[cfg(feature = "tonic")]
impl tower_service::Service<http::Request<Body>> for ByItself {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.headers()["grpc-encoding"], "lzma");
        let response = http::Response::builder().header("content-type", "application/grpc");
        let response = match self.knows_lzma {
            true => response.header("grpc-status", "0"),
            false => response
                .header("grpc-status", "12")
                .header("grpc-accept-encoding", "identity,deflate"),
        };
        std::future::ready(Ok(response.body(Body::empty()).unwrap()))
    }
}

#[cfg(feature = "tonic")]
#[tokio::test]
async fn a_service_that_decompresses_by_itself_says_which_encodings_there_are() {
    for (knows_lzma, status) in [(true, "0"), (false, "12")] {
        let service = ByItself { knows_lzma };
        let service = Serve(move |call: Call| {
            let service = service.clone();
            async move { super::serve_tower(&service, call).await }
        });
        let server = Server::builder()
            .add_service(service)
            .interceptor(Codes::default());
        let fields = [("grpc-encoding", "lzma")];
        let response = call_by_hand(server, "/test.Test/Unary", &fields).await;
        let headers = response.headers();
        assert_eq!(headers["grpc-status"], status);
        if !knows_lzma {
            assert_eq!(headers["grpc-accept-encoding"], "identity,deflate");
        }
    }
}

#[tokio::test]
async fn a_cut_off_within_the_lame_duck_time_ends_the_server_at_once() {
    // What decides is polled in a random order.
    for _ in 0..20 {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::builder().lame_duck_time(Duration::from_secs(600));
        let signalled = async { CutOff(async {}) };
        let ended = tokio::spawn(server.run(listener.into(), signalled));
        assert_eq!(ended.await.unwrap().unwrap().cut_off_calls, 0);
    }
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

#[tokio::test]
async fn what_is_no_call_takes_nothing_of_a_rate_and_a_call_of_no_method_does() {
    let limits = Limits {
        rate: Some(RateLimit {
            calls_per_second: 0.001,
            burst: 1,
        }),
        ..Limits::default()
    };
    let mut server = Server::builder().limits(limits).into_service().unwrap();
    let mut send = |method, content_type| {
        let request = http::Request::builder()
            .method(method)
            .uri("/test.Test/Unary")
            .version(http::Version::HTTP_2)
            .header("content-type", content_type)
            .body(Body::empty())
            .unwrap();
        tower_service::Service::call(&mut server, request)
    };
    let mut statuses = Vec::new();
    for (method, content_type) in [
        ("GET", "application/grpc"),
        ("POST", "text/plain"),
        ("POST", "application/grpc"),
        ("POST", "application/grpc"),
    ] {
        let response = send(method, content_type).await.unwrap();
        let code = response.headers().get("grpc-status");
        let code = code.map(|code| Code::from_bytes(code.as_bytes()));
        statuses.push((response.status().as_u16(), code));
    }
    assert_eq!(
        statuses,
        [
            (405, None),
            (415, None),
            (200, Some(Code::Unimplemented)),
            (200, Some(Code::ResourceExhausted)),
        ]
    );
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
