//! Status on the wire: headers and trailers, HTTP status codes, HTTP/2 errors.

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::reserved;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const GRPC_STATUS_DETAILS: &str = "grpc-status-details-bin";

/// The name of `code` in `google/rpc/code.proto`, as OpenTelemetry's `rpc.response.status_code` has it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Whether `headers` (of a Trailers-Only response) or trailers state a status.
pub(crate) fn is_stated(headers: &HeaderMap) -> bool {
    headers.contains_key(GRPC_STATUS)
}

/// Takes the status out of trailers: `Ok` with the metadata that is left, or the status that ended the call.
///
/// Undecodable details and messages are dropped; they never hide the code (and never panic, as tonic's reader does).
pub(crate) fn from_trailers(mut trailers: HeaderMap) -> Result<HeaderMap, Status> {
    let code = trailers.remove(GRPC_STATUS);
    let message = trailers.remove(GRPC_MESSAGE);
    let mut metadata = MetadataMap::from_headers(trailers);
    let details = metadata.remove_bin(GRPC_STATUS_DETAILS);
    let Some(code) = code else {
        return Err(missing(metadata));
    };
    let code = Code::from_bytes(code.as_bytes());
    if code == Code::Ok {
        return Ok(metadata.into_headers());
    }
    let message = message
        .map(|message| percent_decode(message.as_bytes()))
        .unwrap_or_default();
    let details = details
        .and_then(|details| details.to_bytes().ok())
        .unwrap_or_default();
    Err(Status::with_details_and_metadata(
        code, message, details, metadata,
    ))
}

/// The status of a response that states none: UNKNOWN, as [the published table] has it of HTTP status 200.
///
/// [the published table]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
pub(crate) fn missing(metadata: MetadataMap) -> Status {
    let message = "the call was ended without a grpc-status";
    Status::with_metadata(Code::Unknown, message, metadata)
}

/// Undoes the percent-encoding of `grpc-message`; what is malformed stays as it is.
fn percent_decode(message: &[u8]) -> String {
    let hex = |digit: Option<&u8>| digit.and_then(|digit| char::from(*digit).to_digit(16));
    let mut decoded = Vec::with_capacity(message.len());
    let mut i = 0;
    while let Some(&byte) = message.get(i) {
        match (byte, hex(message.get(i + 1)), hex(message.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                i += 3;
            }
            _ => {
                decoded.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The trailer of what most calls end with.
pub(crate) const OK: (HeaderName, HeaderValue) = (GRPC_STATUS, HeaderValue::from_static("0"));

/// Writes `status` to `trailers`, without metadata that is not the user's to set: h2 refuses some of it.
pub(crate) fn write(status: &Status, trailers: &mut HeaderMap) {
    if is_bare_ok(status) {
        let (name, value) = OK;
        trailers.insert(name, value);
        return;
    }
    let stripped;
    let status = if status.metadata().is_empty() {
        status
    } else {
        stripped = without_reserved(status);
        &stripped
    };
    if status.add_header(trailers).is_err() {
        // The metadata or message cannot be a header; the code always can.
        let bare = Status::new(status.code(), "the status's message could not be encoded");
        let _ = bare.add_header(trailers);
    }
}

/// What most calls end with.
fn is_bare_ok(status: &Status) -> bool {
    status.code() == Code::Ok
        && status.message().is_empty()
        && status.details().is_empty()
        && status.metadata().is_empty()
}

/// What an HTTP status means where there is no gRPC status ([the published table]).
///
/// [the published table]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
pub(crate) fn from_http(http: StatusCode) -> Status {
    let code = match http.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(
        code,
        format!("the server answered with HTTP status {http}, which is not gRPC"),
    )
}

/// What an HTTP/2 error means for the call it ended ([the table of RST_STREAM codes]).
///
/// [the table of RST_STREAM codes]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
pub(crate) fn from_h2(error: h2::Error) -> Status {
    let code = match error.reason() {
        _ if error.is_io() || error.is_go_away() => Code::Unavailable,
        Some(Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(Reason::CANCEL) => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        Some(_) | None => Code::Internal,
    };
    with_source(code, format!("HTTP/2 ended the call: {error}"), error)
}

/// A status with the error that caused it as its source.
pub(crate) fn with_source(
    code: Code,
    message: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Status {
    let mut status = Status::new(code, message);
    status.set_source(Arc::new(source));
    status
}

/// The status that ends a call whose deadline passed.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call passed")
}

/// The status of a call whose last attempt ended with `last`.
pub(crate) fn after_attempts(last: &Status, attempts: u32) -> Status {
    with_message(
        last,
        format!("{} ({attempts} attempts failed)", last.message()),
    )
}

/// Another status like `status`.
pub(crate) fn copy(status: &Status) -> Status {
    with_message(status, status.message().to_owned())
}

/// `status` without the metadata that gRPC and HTTP/2 reserve.
fn without_reserved(status: &Status) -> Status {
    let mut copied = copy(status);
    let metadata = std::mem::take(copied.metadata_mut());
    *copied.metadata_mut() = MetadataMap::from_headers(reserved::strip(metadata.into_headers()));
    copied
}

/// What a handler's error becomes on the wire: one with the code OK would be an answer without a message.
pub(crate) fn of_handler(error: Status) -> Status {
    match error.code() {
        Code::Ok => Status::internal("the handler failed with a status whose code is OK"),
        _ => error,
    }
}

/// `status` with `message` in place of its own.
pub(crate) fn with_message(status: &Status, message: String) -> Status {
    let details = Bytes::copy_from_slice(status.details());
    let mut renamed = Status::with_details_and_metadata(
        status.code(),
        message,
        details,
        status.metadata().clone(),
    );
    if let Some(source) = std::error::Error::source(status) {
        renamed.set_source(Arc::new(Described(source.to_string())));
    }
    renamed
}

/// The description of an error that cannot be cloned.
#[derive(Debug)]
struct Described(String);

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Described {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_status_survives_the_wire() {
        let status = Status::with_details(
            Code::NotFound,
            "no such café: 100%",
            Bytes::from_static(b"\x01\xff"),
        );
        let mut wire = HeaderMap::new();
        write(&status, &mut wire);
        let read = from_trailers(wire).unwrap_err();
        assert_eq!(read.code(), Code::NotFound);
        assert_eq!(read.message(), "no such café: 100%");
        assert_eq!(read.details(), b"\x01\xff");
    }

    #[test]
    fn metadata_that_is_reserved_does_not_go_with_a_status() {
        let metadata = trailers(&[("connection", "close"), ("grpc-status", "0"), ("cost", "3")]);
        let metadata = MetadataMap::from_headers(metadata);
        let mut wire = HeaderMap::new();
        write(
            &Status::with_metadata(Code::NotFound, "", metadata),
            &mut wire,
        );
        assert_eq!(wire, trailers(&[("grpc-status", "5"), ("cost", "3")]));
    }

    #[test]
    fn malformed_details_and_messages_do_not_hide_the_code() {
        let malformed = trailers(&[
            ("grpc-status", "5"),
            ("grpc-message", "50%zz %ff"),
            ("grpc-status-details-bin", "!"),
        ]);
        let status = from_trailers(malformed).unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "50%zz \u{fffd}");
        assert_eq!(status.details(), b"");
    }

    #[test]
    fn ok_leaves_the_other_trailers() {
        let left = from_trailers(trailers(&[("grpc-status", "0"), ("cost", "3")])).unwrap();
        assert_eq!(left, trailers(&[("cost", "3")]));
    }

    #[test]
    fn a_status_that_is_missing_or_not_known_is_unknown() {
        let code = |fields: &[_]| from_trailers(trailers(fields)).unwrap_err().code();
        assert_eq!(code(&[]), Code::Unknown);
        assert_eq!(code(&[("grpc-status", "99")]), Code::Unknown);
    }

    #[test]
    fn trailers_without_a_status_keep_their_metadata() {
        let fields = [("grpc-message", "lost"), ("cost", "3")];
        let status = from_trailers(trailers(&fields)).unwrap_err();
        assert_eq!(
            status.metadata().clone().into_headers(),
            trailers(&fields[1..])
        );
    }

    #[test]
    fn an_http_status_is_the_code_of_the_published_table() {
        let code = |http| from_http(StatusCode::from_u16(http).unwrap()).code();
        assert_eq!(code(400), Code::Internal);
        assert_eq!(code(401), Code::Unauthenticated);
        assert_eq!(code(403), Code::PermissionDenied);
        assert_eq!(code(404), Code::Unimplemented);
        assert_eq!([429, 502, 503, 504].map(code), [Code::Unavailable; 4]);
        assert_eq!([204, 418, 431, 500].map(code), [Code::Unknown; 4]);
    }
}
