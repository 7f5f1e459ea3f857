//! The token in a request's metadata.

use tonic::{Status, metadata::MetadataMap};

/// The largest token that is looked at, in bytes.
const MAX_SIZE: usize = 16 << 10;

/// The bearer token ([RFC 6750, section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)); `None` where there is no
/// `authorization`, or one of another scheme.
///
/// # Errors
///
/// UNAUTHENTICATED for what is malformed, is too large, or is there more than once.
pub(super) fn token(metadata: &MetadataMap) -> Result<Option<&str>, Status> {
    let mut values = metadata.get_all("authorization").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed("there is more than one `authorization`"));
    }
    let Ok(value) = value.to_str() else {
        return Err(malformed("`authorization` is not ASCII"));
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_matches(' ');
    if token.len() > MAX_SIZE {
        return Err(malformed("the token is too large"));
    }
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_of_token) {
        return Err(malformed("there is no token after `Bearer`"));
    }
    Ok(Some(token))
}

fn malformed(what: &str) -> Status {
    Status::unauthenticated(format!("invalid_request: {what}"))
}
