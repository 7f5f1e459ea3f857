//! Header names that users may not set: those of the protocol, and of HTTP/1 connections.

use http::{
    HeaderMap, HeaderName,
    header::{self, Entry},
};

use crate::compression::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING};

/// Names that say something of the message, and are this runtime's to set ([gRPC over HTTP/2]). `grpc-timeout` is not among
/// them: a caller may set it, and it is read as the call's timeout.
///
/// [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const OF_GRPC: [&str; 6] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-previous-rpc-attempts",
];

/// Names that say something of the connection or the length (RFC 9113 sections 8.1.1 and 8.2.2): h2 refuses to send some.
const OF_HTTP: [&str; 8] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "te",
];

/// Names in a response's head that are the protocol's own, and no metadata ([gRPC over HTTP/2], Responses).
///
/// [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const OF_RESPONSES: [HeaderName; 3] = [header::CONTENT_TYPE, GRPC_ENCODING, GRPC_ACCEPT_ENCODING];

fn names() -> impl Iterator<Item = &'static str> {
    OF_GRPC.into_iter().chain(OF_HTTP)
}

/// Whether `name` is not the user's to set.
pub(crate) fn contains(name: &str) -> bool {
    names().any(|reserved| reserved == name)
}

/// Metadata without what is not the user's to set: a handler that passes on what came in does no harm.
pub(crate) fn strip(mut metadata: HeaderMap) -> HeaderMap {
    if !metadata.is_empty() {
        for name in names() {
            metadata.remove(name);
        }
    }
    metadata
}

/// Takes what no response may have out of headers that hold those of the protocol already.
#[cfg(feature = "tonic")]
pub(crate) fn strip_of_http(headers: &mut HeaderMap) {
    for name in OF_HTTP {
        headers.remove(name);
    }
}

/// Takes what is not the user's to set out of `headers`, into a map of its own.
pub(crate) fn split_off(headers: &mut HeaderMap) -> HeaderMap {
    let mut reserved = HeaderMap::new();
    for name in names() {
        if let Entry::Occupied(entry) = headers.entry(name) {
            let (name, values) = entry.remove_entry_mult();
            for value in values {
                reserved.append(&name, value);
            }
        }
    }
    reserved
}

/// The metadata of a response's head, Trailers-Only or not, beside its status.
pub(crate) fn metadata_of(mut head: HeaderMap) -> HeaderMap {
    for name in OF_RESPONSES {
        head.remove(name);
    }
    head
}
