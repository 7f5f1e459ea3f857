//! What a client sends to a server that speaks HTTP/1.1 as well. The first byte of the input says in pieces of which size the
//! rest comes.
//!
//! A panic anywhere ends the target, though a server would survive it.

#![no_main]

mod connection;
mod echo;

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use tower_service::Service;
use wireloom::{fuzzing::connect_as_from_outside, server::Body};

fuzz_target!(|input: &[u8]| {
    let Some((size, sent)) = input.split_first() else {
        return;
    };
    let server = echo::server().accept_http1().fallback(Fallback);
    let pieces = sent.chunks(1 + usize::from(*size) * 16);
    let answer = connection::converse(|| connect_as_from_outside(server), pieces);
    let is_http1 = answer.starts_with(b"HTTP/1.");
    let is_settings = answer.get(3) == Some(&4);
    assert!(answer.is_empty() || is_http1 || is_settings);
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
