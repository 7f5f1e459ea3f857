//! Services that tonic generated, on this server.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::{Code, Status, body::Body};
use tower_service::Service;

use super::{
    Call,
    body::{Reply, ReplyBody},
    stream::Piece,
};
use crate::status;

/// Answers `call` by a service that tonic generated.
pub async fn serve_tower<S>(service: &S, call: Call) -> Reply
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let request = Request::from_parts(call.head, Body::new(call.body));
    let Ok(response) = service.call(request).await;
    let (parts, body) = response.into_parts();
    if body.is_end_stream() && status::is_stated(&parts.headers) {
        return match status::from_trailers(parts.headers) {
            Ok(headers) => Reply {
                headers,
                body: ReplyBody::TrailersOnly(Status::ok("")),
            },
            Err(status) => Reply::status(status),
        };
    }
    Reply {
        headers: parts.headers,
        body: ReplyBody::Http(body),
    }
}

pub(super) fn poll_piece(body: &mut Body, cx: &mut TaskContext<'_>) -> Poll<Piece> {
    let frame = match ready!(Pin::new(body).poll_frame(cx)) {
        Some(Ok(frame)) => frame,
        Some(Err(status)) => return Poll::Ready(Piece::End(status, HeaderMap::new())),
        None => return Poll::Ready(Piece::End(missing_status(), HeaderMap::new())),
    };
    Poll::Ready(match frame.into_data() {
        Ok(data) => Piece::Data(data),
        Err(frame) => match status::from_trailers(frame.into_trailers().unwrap_or_default()) {
            Ok(trailers) => Piece::End(Status::ok(""), trailers),
            Err(status) => Piece::End(status, HeaderMap::new()),
        },
    })
}

fn missing_status() -> Status {
    Status::new(
        Code::Internal,
        "the service ended its response without a status",
    )
}
