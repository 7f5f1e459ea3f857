//! A server that sends back what it is sent.

use std::future::pending;

use wireloom::{
    AuthenticationRequest, Authenticator, Authorization, Caller, Compression, Method,
    MethodDescriptor, Request, Response, Server, Status,
    metadata::KeyAndValueRef,
    server::{AdaptiveLimit, Call, Limits, RateLimit, Reply, Service},
    tokio_stream::{self as stream, StreamExt as _},
};

pub const HANG: &str = "/fuzz.Echo/Hang";

/// What one may send to call `Restricted`, and in which header.
const KEY: (&str, &str) = ("x-key", "sesame");

const PUBLIC: Authorization = Authorization::Public;

static UNARY: Method<Vec<u8>, Vec<u8>> =
    Method::unary("/fuzz.Echo/Unary").with_authorization(PUBLIC);
static MANY: Method<Vec<u8>, Vec<u8>> =
    Method::server_streaming("/fuzz.Echo/Many").with_authorization(PUBLIC);
static UP: Method<Vec<u8>, Vec<u8>> =
    Method::client_streaming("/fuzz.Echo/Up").with_authorization(PUBLIC);
static BIDI: Method<Vec<u8>, Vec<u8>> =
    Method::bidi_streaming("/fuzz.Echo/Bidi").with_authorization(PUBLIC);
static HANGING: Method<Vec<u8>, Vec<u8>> = Method::unary(HANG).with_authorization(PUBLIC);
static RESTRICTED: Method<Vec<u8>, Vec<u8>> =
    Method::unary("/fuzz.Echo/Restricted").with_authorization(Authorization::scopes(&["enter"]));
/// Nobody may call it.
static UNDECLARED: Method<Vec<u8>, Vec<u8>> = Method::unary("/fuzz.Echo/Undeclared");

struct Echo;

impl Service for Echo {
    const NAME: &'static str = "fuzz.Echo";
    const METHODS: &'static [&'static MethodDescriptor] = &[
        UNARY.descriptor(),
        MANY.descriptor(),
        UP.descriptor(),
        BIDI.descriptor(),
        HANGING.descriptor(),
        RESTRICTED.descriptor(),
        UNDECLARED.descriptor(),
    ];

    async fn call(&self, call: Call) -> Reply {
        match call.path() {
            "/fuzz.Echo/Unary" => call.unary(&UNARY, unary).await,
            "/fuzz.Echo/Many" => call.server_streaming(&MANY, many).await,
            "/fuzz.Echo/Up" => call.client_streaming(&UP, up).await,
            "/fuzz.Echo/Bidi" => call.bidi_streaming(&BIDI, bidi).await,
            HANG => call.unary(&HANGING, |_| pending()).await,
            "/fuzz.Echo/Restricted" => call.unary(&RESTRICTED, restricted).await,
            path => panic!("nobody may call {path}"),
        }
    }
}

async fn unary(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
    for entry in request.metadata().iter() {
        if let KeyAndValueRef::Binary(_, value) = entry {
            // What is no base64 is an error to who reads it.
            let _ = value.to_bytes();
        }
    }
    Ok(Response::new(request.into_inner()))
}

async fn many(
    request: Request<Vec<u8>>,
) -> Result<Response<impl wireloom::MessageStream<Vec<u8>>>, Status> {
    let bytes = request.into_inner();
    Ok(Response::new(
        stream::iter(bytes).map(|byte| Ok(vec![byte; 100])),
    ))
}

async fn up(request: Request<wireloom::Streaming<Vec<u8>>>) -> Result<Response<Vec<u8>>, Status> {
    let mut messages = request.into_inner();
    let mut last = Vec::new();
    while let Some(message) = messages.message().await? {
        last = message;
    }
    Ok(Response::new(last))
}

async fn bidi(
    request: Request<wireloom::Streaming<Vec<u8>>>,
) -> Result<Response<impl wireloom::MessageStream<Vec<u8>>>, Status> {
    Ok(Response::new(request.into_inner()))
}

async fn restricted(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
    let caller = request.extensions().get::<Caller>();
    assert!(caller.is_some_and(|caller| caller.has_scope("enter")));
    let (name, value) = KEY;
    assert_eq!(
        request.metadata().get(name).expect("it was looked at"),
        value
    );
    unary(request).await
}

/// Knows one key.
struct Keys;

impl Authenticator for Keys {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Caller>, Status> {
        let (name, value) = KEY;
        match request.metadata().get(name) {
            None => Ok(None),
            Some(key) if key == value => Ok(Some(Caller::new("").with_scopes(["enter"]))),
            Some(_) => Err(Status::unauthenticated("")),
        }
    }
}

/// All on that a request passes before its handler.
pub fn server() -> Server {
    let limits = Limits {
        max_concurrent_calls: Some(3),
        adaptive: Some(AdaptiveLimit::default()),
        rate: Some(RateLimit {
            calls_per_second: 1.0,
            burst: 5,
        }),
        ..Limits::default()
    };
    Server::builder()
        .limits(limits)
        .max_message_size(1 << 10)
        .compression([Compression::Zstd, Compression::Gzip])
        .compression_threshold(16)
        .authenticator(Keys)
        .add_service(Echo)
}
