//! Header names that users may not set: those of the protocol, and of HTTP/1 connections.

use http::{HeaderMap, header::Entry};

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
