//! Keys by which a server may know a call that it has seen before.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tonic::{Code, Status};

use crate::policy::{RetryPolicy, StatusCodes};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How a call with a key is retried where nothing else says: as the generator has it for idempotent methods.
pub(super) const RETRY_POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(1),
    backoff_multiplier: 2.0,
    retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

#[derive(Clone, Debug)]
pub(super) enum IdempotencyKey {
    Given(HeaderValue),
    /// Another for each call.
    Random,
}

impl IdempotencyKey {
    pub(super) fn parse(key: &str) -> Result<Self, Status> {
        let visible = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let value = visible.then(|| HeaderValue::from_str(key).ok()).flatten();
        value.map(Self::Given).ok_or_else(|| {
            Status::invalid_argument(format!(
                "invalid idempotency key {key:?}: it must be visible ASCII, such as a UUID"
            ))
        })
    }

    /// The key of one call; a random one is a UUID of version 4 (RFC 9562).
    pub(super) fn into_value(self) -> HeaderValue {
        match self {
            Self::Given(value) => value,
            Self::Random => HeaderValue::from_str(&uuid(random()))
                .expect("a UUID is hexadecimal digits and hyphens"),
        }
    }
}

/// Bits that no other process has: those of the standard library's hashers, whose keys the operating system gives.
/// fastrand's own seed is a time and a thread, which two processes may share.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{bits:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| &digits[group]).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_key_is_a_uuid_of_version_4() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let keys = [IdempotencyKey::Random, IdempotencyKey::Random].map(IdempotencyKey::into_value);
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_random_key_does_not_follow_from_a_seed_that_another_process_may_have() {
        let keys = [(); 2].map(|()| {
            fastrand::seed(7);
            IdempotencyKey::Random.into_value()
        });
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_key_is_visible_ascii() {
        assert!(IdempotencyKey::parse("8e03978e-40d5-43dd-bc93-6894a57f9324").is_ok());
        for key in ["", "two words", "Zürich", "line\n"] {
            let status = IdempotencyKey::parse(key).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{key:?}");
        }
    }
}
