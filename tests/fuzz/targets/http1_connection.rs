//! What a client sends to a server that speaks HTTP/1.1 as well. The first byte of the input says in pieces of which size the
//! rest comes.
//!
//! A panic anywhere ends the target, though a server would survive it.

#![no_main]

mod echo;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Builder,
};
use tower_service::Service;
use wireloom::{fuzzing::connect_as_from_outside, server::Body};

/// Of a clock that runs ahead while all wait.
const PATIENCE: Duration = Duration::from_secs(600);

fuzz_target!(|input: &[u8]| {
    let Some((size, sent)) = input.split_first() else {
        return;
    };
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("there is room for a runtime");
    runtime.block_on(async {
        let server = echo::server().accept_http1().fallback(Fallback);
        let io = connect_as_from_outside(server).expect("the server is valid");
        let (mut reader, mut writer) = tokio::io::split(io);
        let write = async {
            for piece in sent.chunks(1 + usize::from(*size) * 16) {
                // The server may have ended the connection.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let read = reader.read_to_end(&mut answer);
        let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(write, read) });
        let (_, read) = ended.await.expect("a connection ends with its client");
        read.expect("memory does not fail");
        let is_http1 = answer.starts_with(b"HTTP/1.");
        let is_settings = answer.get(3) == Some(&4);
        assert!(answer.is_empty() || is_http1 || is_settings);
    });

    // Requests end with their connection.
    let metrics = runtime.metrics();
    runtime.block_on(async { tokio::time::sleep(PATIENCE).await });
    assert_eq!(metrics.num_alive_tasks(), 0);
});

/// Answers with what it is asked, once it has read it.
#[derive(Clone)]
struct Fallback;

impl Service<Request<Body>> for Fallback {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async {
            let body = request.into_body().collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok(Response::new(Body::new(http_body_util::Full::new(body))))
        })
    }
}
