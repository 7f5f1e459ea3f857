//! What a request's head says of its call, before a service sees it.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request::Parts};
use tonic::Status;

use super::body::{Reply, ReplyBody};
use crate::{
    compression::{ACCEPTED, Compression, GRPC_ACCEPT_ENCODING},
    deadline::{self, Deadline, GRPC_TIMEOUT},
    limits,
};

/// What is not gRPC gets an HTTP answer ([the protocol's "Requests"]).
///
/// [the protocol's "Requests"]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
pub(super) fn check_is_grpc(head: &Parts) -> Result<(), Response<()>> {
    let refusal = |status| {
        let mut response = Response::new(());
        *response.status_mut() = status;
        Err(response)
    };
    if head.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !limits::is_grpc(&head.headers) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    Ok(())
}

/// How a call is to be served.
pub(super) struct Terms {
    pub(super) deadline: Option<Deadline>,
    pub(super) compression: Compression,
    /// Where it cannot be served so.
    pub(super) refusal: Option<Box<Refusal>>,
}

impl Terms {
    /// Reads the terms of a call, and takes those out of `headers` that are none of its service's business.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let (deadline, refused_for_deadline) = split(take_deadline(headers));
        let (compression, refused_for_compression) = split(compression(headers));
        Self {
            deadline,
            compression,
            refusal: refused_for_deadline.or(refused_for_compression),
        }
    }
}

fn split<T: Default>(read: Result<T, Refusal>) -> (T, Option<Box<Refusal>>) {
    match read {
        Ok(read) => (read, None),
        Err(refusal) => (T::default(), Some(Box::new(refusal))),
    }
}

fn take_deadline(headers: &mut HeaderMap) -> Result<Option<Deadline>, Refusal> {
    let Some(timeout) = headers.remove(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    match deadline::decode_timeout(timeout.as_bytes()) {
        Ok(timeout) => Ok(Some(Deadline::after(timeout))),
        Err(malformed) => Err(Refusal {
            status: Status::invalid_argument(malformed),
            headers: HeaderMap::new(),
        }),
    }
}

fn compression(headers: &HeaderMap) -> Result<Compression, Refusal> {
    Compression::of(headers).map_err(|encoding| {
        let message =
            format!("the request is compressed with {encoding:?}, which is not supported");
        let accepted = ACCEPTED.unwrap_or(HeaderValue::from_static("identity"));
        Refusal {
            status: Status::unimplemented(message),
            headers: HeaderMap::from_iter([(GRPC_ACCEPT_ENCODING, accepted)]),
        }
    })
}

/// The answer to a call that no service sees; interceptors and observers do.
pub(super) struct Refusal {
    status: Status,
    /// What would be accepted.
    pub(super) headers: HeaderMap,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(Refusal { status, headers }: Refusal) -> Self {
        Self {
            headers,
            body: ReplyBody::TrailersOnly(status),
        }
    }
}
