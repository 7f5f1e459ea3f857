//! What a response begins with.

use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tonic::Status;

use crate::{limits, reserved, status};

/// Checks that the response is gRPC, and takes the status out of a Trailers-Only one.
pub(crate) fn read(
    response: Response<RecvStream>,
) -> Result<(HeaderMap, Option<RecvStream>), Status> {
    let (parts, body) = response.into_parts();
    let trailers_only = body.is_end_stream() && status::is_stated(&parts.headers);
    if trailers_only {
        let trailers = reserved::metadata_of(parts.headers);
        return status::from_trailers(trailers).map(|metadata| (metadata, None));
    }
    if parts.status != StatusCode::OK {
        return Err(status::from_http(parts.status));
    }
    if !limits::is_grpc(&parts.headers) {
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
        return Err(Status::unknown(format!(
            "the server answered with content-type {:?}, which is not gRPC",
            String::from_utf8_lossy(content_type)
        )));
    }
    Ok((parts.headers, Some(body)))
}
