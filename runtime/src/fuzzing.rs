//! The readers of what a peer sends, for the fuzz targets in `tests/fuzz`; not there in any other build.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use tokio::io::DuplexStream;
use tonic::Status;

#[cfg(feature = "jwt")]
pub use crate::jwt::fuzzing::{read_bearer, read_jwks, verify_by_jwks, verify_by_secret};
pub use crate::server::fuzzing::connect_as_from_outside;
#[cfg(feature = "tls")]
pub use crate::tls::fuzzing::{allows_dns_name, allows_uri, is_pattern, read_certificate};
use crate::{
    Compression, Server,
    client::Pushback,
    deadline::{decode_timeout, encode_timeout},
    frame::{FrameReader, compress},
    policy::{Backoff, RetryPolicy},
    status,
    trace::TraceContext,
};

/// Reads `grpc-timeout`.
pub fn read_timeout(value: &[u8]) -> Result<Duration, String> {
    decode_timeout(value)
}

/// Writes `grpc-timeout`.
pub fn write_timeout(timeout: Duration) -> HeaderValue {
    encode_timeout(timeout)
}

/// Reads `traceparent` and `tracestate`.
pub fn read_trace(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::extract(headers)
}

/// Writes `traceparent` and `tracestate`.
pub fn write_trace(trace: &TraceContext, headers: &mut HeaderMap) {
    trace.inject(headers);
}

/// Reads the trailers of a call: the metadata of one that went well, or its error.
pub fn read_trailers(trailers: HeaderMap) -> Result<HeaderMap, Status> {
    status::from_trailers(trailers)
}

/// Writes the trailers of a call that failed.
pub fn write_trailers(status: &Status, trailers: &mut HeaderMap) {
    status::write(status, trailers);
}

/// What the metadata of an error says of the next attempt: nothing, how long to wait for it, or that there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum RetryAfter {
    Unsaid,
    Delay(Duration),
    Never,
}

/// Reads `grpc-retry-pushback-ms`.
pub fn read_pushback(status: &Status) -> RetryAfter {
    match Pushback::of(status) {
        Pushback::None => RetryAfter::Unsaid,
        Pushback::After(delay) => RetryAfter::Delay(delay),
        Pushback::Stop => RetryAfter::Never,
    }
}

/// The delays before the first retries of a call, each with this draw, from 0 to 1, as its random factor.
pub fn backoffs(policy: &RetryPolicy, jitter: f64) -> Vec<Duration> {
    let mut backoff = Backoff::new(policy);
    (0..8).map(|_| backoff.next_delay(jitter)).collect()
}

/// Writes the frame of a message, compressed or not.
pub fn write_message(message: &[u8], compression: Compression) -> Result<Bytes, Status> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.extend_from_slice(message);
    compress(frame.freeze(), compression)
}

/// Reads messages of at most `max_size` bytes out of DATA that comes in pieces, up to the first error.
pub fn read_messages(
    pieces: impl Iterator<Item = Bytes>,
    max_size: usize,
    compression: Compression,
) -> (Vec<Bytes>, Result<(), Status>) {
    let mut reader = FrameReader::new(max_size, compression);
    let mut messages = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(()))
}

/// The client's side of a connection to `server`, over memory.
pub fn connect_to(server: Server) -> Result<DuplexStream, Status> {
    let connected = server.into_process()?.connect();
    connected.map_err(|error| Status::unavailable(error.to_string()))
}
