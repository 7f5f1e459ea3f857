//! HTTP/1.1 beside HTTP/2 on one port.

use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

use super::{HttpService, answer};
use crate::server::{
    lifetime::{Lifetime, Step},
    peer::Peer,
};

/// How long a peer may take to say a request's head; while it keeps the connection open for a next one, too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves a connection of HTTP/1.1, for as long as `lifetime` says.
///
/// # Errors
///
/// The connection's.
pub(in crate::server) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    service: HttpService,
    peer: Peer,
    mut lifetime: Lifetime,
) -> Result<(), hyper::Error> {
    let respond = service_fn(|mut request: Request<Incoming>| {
        peer.extend(request.extensions_mut());
        let answer = answer(&service, request.map(Body::new));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(lifetime.max_idle().min(HEAD_TIMEOUT))
        .serve_connection(TokioIo::new(io), respond);
    let mut connection = pin!(connection);
    lifetime.begin(None, None);
    loop {
        let step = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            // Whether it is idle is for its head's timeout to say.
            Poll::Pending => lifetime.poll(cx, || true).map(Ok),
        });
        match step.await {
            Ok(Step::Drain) => connection.as_mut().graceful_shutdown(),
            Ok(Step::Leave | Step::Close) => return Ok(()),
            Err(ended) => return ended,
        }
    }
}
