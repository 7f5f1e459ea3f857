//! One HTTP request on a stream of HTTP/2, and its response.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::{Code, Status, body::Body};

use super::{HttpService, answer};
use crate::{flow, limits, server::body::Source, status};

/// Names that no response over HTTP/2 may have (RFC 9113 section 8.2.2).
const OF_CONNECTIONS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Answers a request by `service`, unless its caller goes away.
pub(in crate::server) async fn serve(
    service: HttpService,
    request: Request<Source>,
    mut respond: SendResponse<Bytes>,
) {
    let is_grpc = limits::is_grpc(request.headers());
    let response = {
        let mut answer = pin!(answer(&service, request.map(Body::new)));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let Some(response) = response else {
        return;
    };
    let (mut head, body) = response.into_parts();
    for name in OF_CONNECTIONS {
        head.headers.remove(name);
    }
    let head = Response::from_parts(head, ());
    let is_end = body.is_end_stream();
    // An error of h2 means that the stream is gone already: there is nobody to tell.
    if let Ok(mut stream) = respond.send_response(head, is_end)
        && !is_end
    {
        send(&mut stream, body, is_grpc).await;
    }
}

async fn send(stream: &mut SendStream<Bytes>, body: Body, is_grpc: bool) {
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => stream.poll_reset(cx).map(|_| None),
        });
        match frame.await {
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    if flow::send(stream, data).await.is_err() {
                        return;
                    }
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let _ = stream.send_trailers(trailers);
                    return;
                }
            },
            Some(Some(Err(status))) => return fail(stream, &status, is_grpc),
            Some(None) => {
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
            // The caller does not want the rest.
            None => return,
        }
    }
}

/// Ends a response whose body fails.
fn fail(stream: &mut SendStream<Bytes>, status: &Status, is_grpc: bool) {
    match status.code() {
        // Such as of a call past its deadline, whose peer has no room for more.
        Code::Cancelled => stream.send_reset(Reason::CANCEL),
        _ if is_grpc => {
            let mut trailers = HeaderMap::new();
            status::write(status, &mut trailers);
            let _ = stream.send_trailers(trailers);
        }
        _ => stream.send_reset(Reason::INTERNAL_ERROR),
    }
}
