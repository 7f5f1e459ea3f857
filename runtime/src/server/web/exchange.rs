//! One HTTP request on a stream of HTTP/2, and its response.

use std::{
    future::{Future as _, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::{Code, Status, body::Body};

use super::{HttpService, answer, panicked};
use crate::{
    deadline::{self, Deadline},
    flow::{self, Gone},
    limits,
    server::{body::Source, protection::Protection},
    status,
};

/// Names that no response over HTTP/2 may have (RFC 9113 section 8.2.2).
const OF_CONNECTIONS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Answers a request by `service`, unless its caller goes away; `protection` counts which of what is no call.
pub(in crate::server) async fn serve(
    service: HttpService,
    request: Request<Source>,
    respond: SendResponse<Bytes>,
    default_deadline: Option<Deadline>,
    protection: Arc<Protection>,
) {
    let kind = Kind::of(request.headers(), default_deadline);
    let responded = respond_by(service, request, respond, kind).await;
    match (kind, responded) {
        // It is counted where it is served.
        (Kind::Call(_), _) => {}
        (Kind::Other, Ok(())) => protection.answered(),
        (Kind::Other, Err(Gone)) => protection.reset(Code::Cancelled),
    }
}

async fn respond_by(
    service: HttpService,
    request: Request<Source>,
    mut respond: SendResponse<Bytes>,
    kind: Kind,
) -> Result<(), Gone> {
    let response = {
        let mut answer = pin!(answer(&service, request.map(Body::new)));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let (mut head, body) = response.ok_or(Gone)?.into_parts();
    for name in OF_CONNECTIONS {
        head.headers.remove(name);
    }
    let head = Response::from_parts(head, ());
    let is_end = body.is_end_stream();
    // An error of h2 means that the stream is gone already.
    let stream = respond.send_response(head, is_end);
    let mut stream = stream.map_err(|_| Gone)?;
    match is_end {
        true => Ok(()),
        false => send(&mut stream, body, kind).await,
    }
}

/// What a request is.
#[derive(Clone, Copy)]
enum Kind {
    /// Of gRPC: its deadline bounds how long it waits for its peer's room.
    Call(Option<Deadline>),
    Other,
}

impl Kind {
    /// Of a call that states no deadline, it is the default.
    fn of(headers: &HeaderMap, default: Option<Deadline>) -> Self {
        if !limits::is_grpc(headers) {
            return Self::Other;
        }
        let timeout = headers.get(deadline::GRPC_TIMEOUT);
        // One that cannot be read is refused further inwards.
        let timeout = timeout.and_then(|value| deadline::decode_timeout(value.as_bytes()).ok());
        Self::Call(timeout.map(Deadline::after).or(default))
    }
}

/// # Errors
///
/// The caller has gone away, or nothing of what it waits for can reach it.
async fn send(stream: &mut SendStream<Bytes>, body: Body, kind: Kind) -> Result<(), Gone> {
    let mut body = pin!(body);
    let mut has_sent = false;
    loop {
        let frame = poll_fn(|cx| {
            // What a panic leaves half done is dropped with the body.
            let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
            match polled {
                Ok(Poll::Ready(frame)) => Poll::Ready(Some(frame)),
                Ok(Poll::Pending) => stream.poll_reset(cx).map(|_| None),
                Err(_) => Poll::Ready(Some(Some(Err(panicked())))),
            }
        });
        match frame.await {
            Some(Some(Ok(frame))) => match frame.into_data() {
                // Empty data says nothing: there is no room to wait for.
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    room(stream, data.len(), kind).await?;
                    stream.send_data(data, false).map_err(|_| Gone)?;
                    has_sent = true;
                }
                Err(frame) => {
                    if has_sent {
                        room(stream, 1, kind).await?;
                    }
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return stream.send_trailers(trailers).map_err(|_| Gone);
                }
            },
            Some(Some(Err(status))) => return fail(stream, &status, kind),
            Some(None) => return stream.send_data(Bytes::new(), true).map_err(|_| Gone),
            // The caller does not want the rest.
            None => return Err(Gone),
        }
    }
}

/// Waits until the peer has room for all that was sent, and for some of `bytes` more. A call that waits past its deadline is
/// reset: no status can follow what waits.
async fn room(stream: &mut SendStream<Bytes>, bytes: usize, kind: Kind) -> Result<(), Gone> {
    let Kind::Call(Some(deadline)) = kind else {
        return flow::room_for(stream, bytes).await;
    };
    let room = flow::room_for(stream, bytes);
    match tokio::time::timeout_at(deadline.instant(), room).await {
        Ok(room) => room,
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            Err(Gone)
        }
    }
}

/// Ends a response whose body fails.
fn fail(stream: &mut SendStream<Bytes>, status: &Status, kind: Kind) -> Result<(), Gone> {
    match (status.code(), kind) {
        // Such as of a call past its deadline, whose peer has no room for more.
        (Code::Cancelled, _) => {
            stream.send_reset(Reason::CANCEL);
            Err(Gone)
        }
        (_, Kind::Call(_)) => {
            let mut trailers = HeaderMap::new();
            status::write(status, &mut trailers);
            stream.send_trailers(trailers).map_err(|_| Gone)
        }
        (_, Kind::Other) => {
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    }
}
