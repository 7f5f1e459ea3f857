//! Headers from more than one place.

use http::HeaderMap;

/// `headers`, and those of `defaults` that they have none of.
pub(crate) fn over(headers: HeaderMap, defaults: &HeaderMap) -> HeaderMap {
    if defaults.is_empty() {
        return headers;
    }
    let mut merged = defaults.clone();
    for name in headers.keys() {
        merged.remove(name);
    }
    merged.extend(headers);
    merged
}
