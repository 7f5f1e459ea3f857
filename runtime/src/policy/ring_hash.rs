use http::HeaderName;

use super::InvalidPolicy;

/// The most places that a ring may have (gRFC A42).
const MAX_RING_SIZE: u64 = 8 << 20;

/// Spreads calls by a hash of one of their metadata's values: calls with the same value go to the same address.
///
/// Each address has many places on a ring of hashes, and a call goes to the address of the first place at or after its own
/// hash ([gRFC A42]). So an address that is added or removed moves little more than its share of the keys. An address without a
/// connection gets one when the first call comes that belongs to it; while none can be made, its calls go to the next on
/// the ring.
///
/// ```
/// use wireloom::{LoadBalancing, RingHash};
///
/// let by_session = LoadBalancing::RingHash(RingHash::by_header("session-id"));
/// assert_eq!(by_session.validate(), Ok(()));
/// ```
///
/// [gRFC A42]: https://github.com/grpc/proposal/blob/master/A42-xds-ring-hash-lb-policy.md
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingHash {
    /// The metadata key whose value is hashed ([gRFC A76]): an ASCII one. Several values are joined by commas. A call
    /// without a value goes to a random address, if possible one that has a connection; so do all, without a key.
    ///
    /// Values that interceptors set count; those of call credentials do not.
    ///
    /// [gRFC A76]: https://github.com/grpc/proposal/blob/master/A76-ring-hash-improvements.md
    pub request_hash_header: Option<String>,
    /// How many places the ring has at least, so that each address has its share: from 1 to 8,388,608. The default is
    /// 1,024.
    pub min_ring_size: u64,
    /// How many places the ring has at most: from `min_ring_size` to 8,388,608, each of 16 bytes. The default is 4,096,
    /// which is also the most that a service config gets, as in other implementations of gRPC.
    pub max_ring_size: u64,
}

impl RingHash {
    /// The most places that the ring of a service config gets.
    pub(crate) const CAP: u64 = 4096;

    /// By the values of this metadata key, on a ring of the default size.
    pub fn by_header(request_hash_header: impl Into<String>) -> Self {
        Self {
            request_hash_header: Some(request_hash_header.into()),
            ..Self::default()
        }
    }

    /// Checks what must hold of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        let reason = if !self.request_hash_header.as_deref().is_none_or(is_ascii_key) {
            "request_hash_header must be a metadata key that does not end with -bin"
        } else if !is_ring_size(self.min_ring_size) {
            "min_ring_size must be at least 1 and at most 8388608"
        } else if !is_ring_size(self.max_ring_size) {
            "max_ring_size must be at least 1 and at most 8388608"
        } else if self.max_ring_size < self.min_ring_size {
            "max_ring_size must not be below min_ring_size"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy(reason))
    }
}

impl Default for RingHash {
    fn default() -> Self {
        Self {
            request_hash_header: None,
            min_ring_size: 1024,
            max_ring_size: Self::CAP,
        }
    }
}

pub(crate) fn is_ring_size(size: u64) -> bool {
    (1..=MAX_RING_SIZE).contains(&size)
}

/// Whether this is a key whose values are text.
pub(crate) fn is_ascii_key(key: &str) -> bool {
    let name = HeaderName::from_bytes(key.as_bytes());
    name.is_ok_and(|name| !name.as_str().ends_with("-bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_or_size_that_no_ring_can_have_is_refused() {
        let sizes = |min_ring_size, max_ring_size| RingHash {
            min_ring_size,
            max_ring_size,
            ..RingHash::default()
        };
        for valid in [RingHash::by_header("Session-Id"), sizes(1, MAX_RING_SIZE)] {
            assert_eq!(valid.validate(), Ok(()), "{valid:?}");
        }
        for (policy, field) in [
            (RingHash::by_header(""), "request_hash_header"),
            (RingHash::by_header("a b"), "request_hash_header"),
            (RingHash::by_header("trace-bin"), "request_hash_header"),
            (RingHash::by_header("trace-BIN"), "request_hash_header"),
            (sizes(0, 1), "min_ring_size"),
            (sizes(1, MAX_RING_SIZE + 1), "max_ring_size"),
            (sizes(3, 2), "max_ring_size"),
        ] {
            let error = policy.validate().expect_err(field);
            assert!(error.reason().starts_with(field), "{error}");
        }
    }
}
