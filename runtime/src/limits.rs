//! What both sides share: the content type, and the defaults of limits.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

/// The largest message that is received, as in every gRPC implementation: 4 MiB.
pub(crate) const MAX_RECEIVE_MESSAGE_SIZE: usize = 4 << 20;

/// How long a handshake of TLS may take with a server.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most attempts that a call makes unless its channel allows more or fewer (gRFC A6).
pub(crate) const DEFAULT_MAX_ATTEMPTS: u32 = 5;

/// Per stream: what a sender may have under way before the reader has to read. Two megabytes keep 1 Gbit/s busy at a
/// round trip of 16 ms.
pub(crate) const STREAM_WINDOW: u32 = 2 << 20;
/// Per connection: room for a few streams that nobody reads beside those that are read.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;

/// What DATA frames may cost beside their bytes while nobody reads them: `h2` counts what a frame has less than 256 bytes. It is
/// enough for what one stream's window holds of messages of 13 bytes in frames of their own, as most implementations send them.
/// `h2`'s own, half a connection's window, ends the connection of one whose reader is slow. With any more, what waits may pass
/// 131,072 frames, for which `h2` takes twice the memory.
pub(crate) const SMALL_FRAMES_BUDGET: usize = 28 << 20;

/// Of what is received: a message of 64 KiB comes in one frame, and need not be put together, where the sender makes frames as
/// large as it may (RFC 9113 section 4.2).
pub(crate) const MAX_FRAME_SIZE: u32 = 128 << 10;

/// How many streams that were reset here a connection remembers, for a second, so that frames that were on their way are
/// ignored. Of what it has forgotten, each late frame counts as an error of its peer: `h2`'s default of 50 is less than one
/// deadline may reset at a time.
pub(crate) const REMEMBERED_RESETS: usize = 1024;

/// How many errors of its peer in single streams end a connection. They count for as long as it lives: at `h2`'s default of
/// 1024, late frames end a busy one every now and then.
pub(crate) const MAX_STREAM_ERRORS: usize = 1 << 16;

/// Whether a message with these headers is gRPC's: its content type is, alone or with what follows `+` or `;`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = content_type.strip_prefix(CONTENT_TYPE.as_bytes());
    matches!(rest, Some([] | [b'+' | b';', ..]))
}

/// What says that a request or a response is gRPC's.
pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
