//! The negative cases of gRPC's interop tests (`doc/negative-http2-interop-test-descriptions.md` and `test/http2_test` of
//! grpc/grpc), each named after its case there: servers that misbehave, against our client (`servers.rs`), and clients that
//! misbehave likewise, against our server (`clients.rs`).

mod clients;
mod endpoint;
mod servers;

use wireloom_peer::raw::{field, message};

/// The payloads of the published cases.
const REQUEST: usize = 271_828;
const RESPONSE: usize = 314_159;

/// The field 1 of a message, of so many zeros: a `google.protobuf.BytesValue`, or the name of a `probe.Task`.
fn zeros(len: usize) -> Vec<u8> {
    let mut bytes = vec![0x0a];
    let mut left = len;
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.resize(bytes.len() + len, 0);
    message(&bytes)
}

/// The head of a response, and its trailers.
fn head_of_response() -> Vec<u8> {
    let mut block = field(":status", "200");
    block.extend(field("content-type", "application/grpc"));
    block
}

fn trailers() -> Vec<u8> {
    field("grpc-status", "0")
}
