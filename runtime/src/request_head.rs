//! What a request begins with.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};

use crate::limits::CONTENT_TYPE;

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// The head of a gRPC request that carries `metadata`; a user agent that is in there stands in place of `user_agent`.
pub(crate) fn of(uri: Uri, metadata: HeaderMap, user_agent: &HeaderValue) -> Request<()> {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = metadata;
    let headers = request.headers_mut();
    headers.insert(header::TE, TRAILERS);
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers
        .entry(header::USER_AGENT)
        .or_insert_with(|| user_agent.clone());
    request
}
