//! Servers on a socket of this machine.

mod deadlines;
mod encodings;
mod layers;
mod trailers;
mod unread;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::net::TcpStream;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, body::Body, metadata::MetadataValue};

use super::{Call, Limits, Listener, RateLimit, Reply, Server, Service, Stop};
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

/// Answers each call with one message of so many bytes.
fn answer(bytes: usize) -> Server {
    Server::builder().add_service(Serve(move |call: Call| {
        call.unary(&UNARY, move |_: Request<String>| async move {
            Ok(Response::new("x".repeat(bytes)))
        })
    }))
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

#[tokio::test]
async fn a_cut_off_within_the_lame_duck_time_ends_the_server_at_once() {
    // What decides is polled in a random order.
    for _ in 0..20 {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::builder().lame_duck_time(Duration::from_secs(600));
        let signalled = async {
            Stop {
                why: "a test",
                cut_off: async {},
            }
        };
        let ended = tokio::spawn(server.run(listener.into(), signalled));
        assert_eq!(ended.await.unwrap().unwrap().cut_off_calls, 0);
    }
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
