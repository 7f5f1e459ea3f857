//! What a request's head says of its call, before a service sees it.

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tonic::Status;

use super::Reply;
use crate::{
    compression::{ACCEPTED, Compression, GRPC_ACCEPT_ENCODING, GRPC_ENCODING},
    deadline::{self, Deadline, GRPC_TIMEOUT},
    limits,
    trace::TRACEPARENT,
};

/// What is not gRPC gets an HTTP answer ([the protocol's "Requests"]).
///
/// [the protocol's "Requests"]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
pub(super) fn check_is_grpc<B>(request: &Request<B>) -> Result<(), StatusCode> {
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !limits::is_grpc(request.headers()) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    Ok(())
}

/// How a call is to be served.
pub(super) struct Terms {
    pub(super) deadline: Option<Deadline>,
    pub(super) compression: Compression,
    /// Where its messages are compressed in another way than this build knows, which a service that reads them by itself may.
    pub(super) unreadable: Option<Box<Reply>>,
    /// Where it cannot be served so.
    pub(super) early_reply: Option<Box<Reply>>,
    /// Whether its headers name a trace.
    pub(super) is_traced: bool,
}

impl Terms {
    /// Reads the terms of a call, and takes those out of `headers` that are none of its service's business.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let present = Present::of(headers);
        let (deadline, early_reply) = match present.timeout {
            true => split(take_deadline(headers)),
            false => Default::default(),
        };
        let (compression, unreadable) = match present.encoding {
            true => split(compression(headers)),
            false => Default::default(),
        };
        Self {
            deadline,
            compression,
            unreadable,
            early_reply,
            is_traced: present.traceparent,
        }
    }
}

/// Which headers are there. Most calls have few, and a glance at all names costs less than to look each up.
#[derive(Default)]
struct Present {
    timeout: bool,
    encoding: bool,
    traceparent: bool,
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            if *name == GRPC_TIMEOUT {
                present.timeout = true;
            } else if *name == GRPC_ENCODING {
                present.encoding = true;
            } else if *name == TRACEPARENT {
                present.traceparent = true;
            }
        }
        present
    }
}

fn split<T: Default>(read: Result<T, Box<Reply>>) -> (T, Option<Box<Reply>>) {
    match read {
        Ok(read) => (read, None),
        Err(reply) => (T::default(), Some(reply)),
    }
}

fn take_deadline(headers: &mut HeaderMap) -> Result<Option<Deadline>, Box<Reply>> {
    let Some(timeout) = headers.remove(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    match deadline::decode_timeout(timeout.as_bytes()) {
        Ok(timeout) => Ok(Some(Deadline::after(timeout))),
        Err(malformed) => Err(Box::new(Reply::early(Status::invalid_argument(malformed)))),
    }
}

fn compression(headers: &HeaderMap) -> Result<Compression, Box<Reply>> {
    Compression::of(headers).map_err(|encoding| {
        let message =
            format!("the request is compressed with {encoding:?}, which is not supported");
        let accepted = ACCEPTED.unwrap_or(HeaderValue::from_static("identity"));
        Box::new(Reply {
            headers: HeaderMap::from_iter([(GRPC_ACCEPT_ENCODING, accepted)]),
            ..Reply::early(Status::unimplemented(message))
        })
    })
}
