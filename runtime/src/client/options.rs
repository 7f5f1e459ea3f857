//! What a call is made with, beside its messages.

use std::{fmt, time::Duration};

use http::HeaderMap;
use tonic::{
    Status,
    metadata::{
        AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, BinaryMetadataValue, MetadataMap,
    },
};

use super::idempotency::IdempotencyKey;
use crate::{
    compression::Compression,
    credentials::{CallCredentials, Credentials},
    deadline::Deadline,
    headers,
    policy::{AttemptPolicy, HedgingPolicy, InvalidPolicy, RetryPolicy},
    reserved, status,
};

/// What calls are made with: the defaults of a channel ([`ChannelBuilder::call_options`]), or what is set on one
/// [`Call`](crate::Call), whose methods are these.
///
/// What a call does not set, its channel's options decide, then the service config, then the method's own policy.
/// Timeouts are the exception: a service config's bounds the call in any case, as does the deadline of the call being
/// served. So do message limits: the smaller of the service config's and the caller's holds ([gRFC A2]).
///
/// What is invalid fails the call, or the making of the channel, with INVALID_ARGUMENT.
///
/// ```
/// use std::time::Duration;
/// use wireloom::{CallOptions, Channel};
///
/// let options = CallOptions::new()
///     .timeout(Duration::from_secs(3))
///     .wait_for_ready(true)
///     .metadata("tenant", "blue");
/// let channel = Channel::builder("http://localhost:50051").call_options(options).lazy()?;
/// # Ok::<(), wireloom::Status>(())
/// ```
///
/// [`ChannelBuilder::call_options`]: crate::ChannelBuilder::call_options
/// [gRFC A2]: https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a channel or a call has them"]
pub struct CallOptions {
    pub(super) bound: Bound,
    pub(super) metadata: HeaderMap,
    pub(super) credentials: Credentials,
    pub(super) attempts: Option<AttemptPolicy>,
    pub(super) wait_for_ready: Option<bool>,
    pub(super) compression: Option<Compression>,
    pub(super) max_send_message_size: Option<usize>,
    pub(super) max_receive_message_size: Option<usize>,
    pub(super) idempotency_key: Option<IdempotencyKey>,
    /// The first of what was set that may not be.
    invalid: Option<Status>,
}

/// What bounds a call in time, beside its service config and the call being served.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Bound {
    /// Nothing is said: the method's own timeout, from when the call is sent.
    #[default]
    Unset,
    /// From when the call is sent.
    Within(Duration),
    By(Deadline),
    None,
}

impl Bound {
    /// `deadline`, or what the caller set beside it where that comes first.
    pub(super) fn or_earlier(self, deadline: Deadline) -> Self {
        let set = match self {
            Self::Unset | Self::None => None,
            Self::Within(timeout) => Some(Deadline::after(timeout)),
            Self::By(deadline) => Some(deadline),
        };
        Self::By(set.map_or(deadline, |set| set.min(deadline)))
    }
}

impl CallOptions {
    /// Options that say nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds each whole call, from when it is sent: all attempts, all messages, the status. In place of the method's
    /// own timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.bound = Bound::Within(timeout);
        self
    }

    /// Bounds the whole call by an instant.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.bound = Bound::By(deadline);
        self
    }

    /// Lifts the method's own timeout.
    pub fn no_timeout(mut self) -> Self {
        self.bound = Bound::None;
        self
    }

    /// Adds ASCII metadata. A key or value that HTTP/2 cannot carry, or a key that gRPC reserves, is invalid.
    pub fn metadata(self, key: &str, value: impl AsRef<str>) -> Self {
        self.check(|options| {
            let name: AsciiMetadataKey = key
                .parse()
                .map_err(|error| invalid_metadata("key", key, &error))?;
            refuse_reserved(name.as_str(), key)?;
            let value: AsciiMetadataValue = value
                .as_ref()
                .parse()
                .map_err(|error| invalid_metadata("value", key, &error))?;
            options.append(|metadata| {
                metadata.append(name, value);
            });
            Ok(())
        })
    }

    /// Adds binary metadata; the key ends in `-bin`. The value is sent in base64, as gRPC has it.
    pub fn binary_metadata(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.check(|options| {
            let name = BinaryMetadataKey::from_bytes(key.as_bytes()).map_err(|_| {
                invalid_metadata("key", key, &"it must be a header name that ends in -bin")
            })?;
            refuse_reserved(name.as_str(), key)?;
            options.append(|metadata| {
                metadata.append_bin(name, BinaryMetadataValue::from_bytes(value.as_ref()));
            });
            Ok(())
        })
    }

    /// Has `credentials` give metadata to each attempt, after those that were added before. They go over TLS and Unix
    /// sockets alone, unless the channel [allows more]; see [`CallCredentials`].
    ///
    /// [allows more]: crate::ChannelBuilder::allow_insecure_credentials
    pub fn credentials(mut self, credentials: impl CallCredentials) -> Self {
        self.credentials.add(credentials);
        self
    }

    /// Retries by `policy`.
    pub fn retry_policy(self, policy: RetryPolicy) -> Self {
        self.check(|options| {
            let invalid = |reason| invalid_policy("retry", reason);
            policy.validate().map_err(invalid)?;
            options.attempts = Some(AttemptPolicy::Retry(policy));
            Ok(())
        })
    }

    /// Hedges by `policy`: further attempts go out before the first has answered, so methods must bear being done
    /// twice.
    pub fn hedging_policy(self, policy: HedgingPolicy) -> Self {
        self.check(|options| {
            let invalid = |reason| invalid_policy("hedging", reason);
            policy.validate().map_err(invalid)?;
            options.attempts = Some(AttemptPolicy::Hedging(policy));
            Ok(())
        })
    }

    /// Switches configured retries and hedges off; transparent retries stay.
    pub fn no_retry(mut self) -> Self {
        self.attempts = Some(AttemptPolicy::Single);
        self
    }

    /// Whether calls wait for a connection while none can be made, until their deadline, rather than fail with
    /// UNAVAILABLE ([wait for ready]). The default is to fail.
    ///
    /// [wait for ready]: https://github.com/grpc/grpc/blob/master/doc/wait-for-ready.md
    pub fn wait_for_ready(mut self, wait: bool) -> Self {
        self.wait_for_ready = Some(wait);
        self
    }

    /// Compresses requests; the default does not. Responses are decompressed whichever is set.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// The largest message that a call may send, in bytes as encoded and compressed; a larger one fails it with
    /// RESOURCE_EXHAUSTED. The default has no limit.
    pub fn max_send_message_size(mut self, bytes: usize) -> Self {
        self.max_send_message_size = Some(bytes);
        self
    }

    /// The largest message that a call accepts, in bytes, compressed and not; a larger one fails it with
    /// RESOURCE_EXHAUSTED. The default is 4 MiB.
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.max_receive_message_size = Some(bytes);
        self
    }

    /// Sends `key` as `idempotency-key`, the same on all attempts, by which a server may know that it has seen the
    /// call before ([the draft of the header]; the key is any visible ASCII).
    ///
    /// With a key a call may be sent twice, so where nothing sets a retry or hedging policy, it is retried as
    /// idempotent methods are: on UNAVAILABLE, 3 attempts, 100 ms doubling up to 1 s.
    ///
    /// [the draft of the header]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.check(|options| {
            options.idempotency_key = Some(IdempotencyKey::parse(key.as_ref())?);
            Ok(())
        })
    }

    /// Makes a random key for each call; see [`idempotency_key`](Self::idempotency_key).
    pub fn random_idempotency_keys(mut self) -> Self {
        self.idempotency_key = Some(IdempotencyKey::Random);
        self
    }

    pub(crate) fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials.over(&self.credentials);
        self
    }

    pub(crate) fn has_credentials(&self) -> bool {
        !self.credentials.is_empty()
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for the first of what was set that may not be.
    pub(crate) fn check_valid(&self) -> Result<(), Status> {
        self.invalid
            .as_ref()
            .map_or(Ok(()), |status| Err(status::copy(status)))
    }

    /// Options that say nothing but the metadata that came with a request.
    pub(super) fn of_metadata(metadata: HeaderMap) -> Self {
        Self {
            metadata,
            ..Self::default()
        }
    }

    /// These options, and `defaults` where they say nothing; metadata and credentials add up, and a key that
    /// both have is this one's.
    pub(crate) fn over(mut self, defaults: &Self) -> Self {
        if matches!(self.bound, Bound::Unset) {
            self.bound = defaults.bound;
        }
        Self {
            bound: self.bound,
            metadata: headers::over(self.metadata, &defaults.metadata),
            credentials: self.credentials.over(&defaults.credentials),
            attempts: self.attempts.or(defaults.attempts),
            wait_for_ready: self.wait_for_ready.or(defaults.wait_for_ready),
            compression: self.compression.or(defaults.compression),
            max_send_message_size: self
                .max_send_message_size
                .or(defaults.max_send_message_size),
            max_receive_message_size: self
                .max_receive_message_size
                .or(defaults.max_receive_message_size),
            idempotency_key: self
                .idempotency_key
                .or_else(|| defaults.idempotency_key.clone()),
            invalid: self.invalid,
        }
    }

    fn check(mut self, set: impl FnOnce(&mut Self) -> Result<(), Status>) -> Self {
        if let Err(status) = set(&mut self) {
            self.invalid.get_or_insert(status);
        }
        self
    }

    fn append(&mut self, append: impl FnOnce(&mut MetadataMap)) {
        let mut metadata = MetadataMap::from_headers(std::mem::take(&mut self.metadata));
        append(&mut metadata);
        self.metadata = metadata.into_headers();
    }
}

fn invalid_policy(which: &str, reason: InvalidPolicy) -> Status {
    Status::invalid_argument(format!("invalid {which} policy: {reason}"))
}

fn invalid_metadata(what: &str, key: &str, reason: &dyn fmt::Display) -> Status {
    Status::invalid_argument(format!("invalid metadata {what} for key {key:?}: {reason}"))
}

fn refuse_reserved(name: &str, key: &str) -> Result<(), Status> {
    match reserved::contains(name) {
        true => Err(invalid_metadata("key", key, &"it is the protocol's own")),
        false => Ok(()),
    }
}
