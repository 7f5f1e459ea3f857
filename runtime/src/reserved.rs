//! Header names that users may not set: those of the protocol, and of HTTP/1 connections.

use http::{
    HeaderMap, HeaderName,
    header::{self, Entry},
};

use crate::compression::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING};

/// Names that say something of the message or the connection, and are this runtime's to set ([gRPC over HTTP/2], RFC
/// 9113 section 8.2.2). `grpc-timeout` is not among them: a caller may set it, and it is read as the call's timeout.
///
/// [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const RESERVED: [&str; 14] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-previous-rpc-attempts",
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

/// Whether `name` is not the user's to set.
pub(crate) fn contains(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Metadata without what is not the user's to set: a handler that passes on what came in does no harm.
pub(crate) fn strip(mut metadata: HeaderMap) -> HeaderMap {
    if !metadata.is_empty() {
        for name in RESERVED {
            metadata.remove(name);
        }
    }
    metadata
}

/// Takes what is not the user's to set out of `headers`, into a map of its own.
pub(crate) fn split_off(headers: &mut HeaderMap) -> HeaderMap {
    let mut reserved = HeaderMap::new();
    for name in RESERVED {
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
