//! What generated code says of each method, once and statically.

use std::{fmt, marker::PhantomData, time::Duration};

use crate::{
    authorization::Authorization,
    policy::{AttemptPolicy, HedgingPolicy, RetryPolicy, RetryThrottling},
};

/// Which sides of a method stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// One request, one response.
    Unary,
    /// One request, many responses.
    ServerStreaming,
    /// Many requests, one response.
    ClientStreaming,
    /// Many requests, many responses.
    BidiStreaming,
}

/// A method's `idempotency_level`, as the proto states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing is known: doing it twice may differ from doing it once.
    #[default]
    Unknown,
    /// The method changes nothing.
    NoSideEffects,
    /// Doing it twice is the same as doing it once.
    Idempotent,
}

/// A method's path, kind and policy: all that a call needs to know beside its messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodDescriptor {
    path: &'static str,
    kind: MethodKind,
    idempotency: Idempotency,
    timeout: Option<Duration>,
    attempts: AttemptPolicy,
    wait_for_ready: bool,
    max_request_message_size: Option<usize>,
    max_response_message_size: Option<usize>,
    retry_throttling: Option<RetryThrottling>,
    authorization: Option<Authorization>,
    has_request_rules: bool,
}

impl MethodDescriptor {
    /// The HTTP/2 path (`/helloworld.Greeter/SayHello`).
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// Package, service and method as on the wire, without the leading slash (`helloworld.Greeter/SayHello`).
    pub fn full_name(&self) -> &'static str {
        self.path.strip_prefix('/').unwrap_or(self.path)
    }

    /// Which sides stream.
    pub const fn kind(&self) -> MethodKind {
        self.kind
    }

    /// What the proto says of doing the method twice.
    pub const fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// The longest that a whole call may take; `None` is no limit.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Retries or hedging.
    pub const fn attempts(&self) -> AttemptPolicy {
        self.attempts
    }

    /// Whether calls wait for a connection while none can be made, rather than fail.
    pub const fn wait_for_ready(&self) -> bool {
        self.wait_for_ready
    }

    /// The largest message that may be sent, in bytes; `None` is no limit of the method's own.
    pub const fn max_request_message_size(&self) -> Option<usize> {
        self.max_request_message_size
    }

    /// The largest message that may be received, in bytes; `None` is no limit of the method's own.
    pub const fn max_response_message_size(&self) -> Option<usize> {
        self.max_response_message_size
    }

    /// When calls to the method's server stop retrying and hedging; `None` is never.
    pub const fn retry_throttling(&self) -> Option<RetryThrottling> {
        self.retry_throttling
    }

    /// Who may call the method; `None` where the proto does not say.
    pub const fn authorization(&self) -> Option<Authorization> {
        self.authorization
    }

    /// Whether the proto has rules for the method's requests, which `Server::validation` holds them to: of `buf.validate`, or
    /// `google.api.field_behavior = REQUIRED`.
    pub const fn has_request_rules(&self) -> bool {
        self.has_request_rules
    }
}

/// A [`MethodDescriptor`] with the types of the method's messages.
///
/// Generated code has one `static` per method:
///
/// ```
/// use std::time::Duration;
/// use wireloom::Method;
///
/// static SAY_HELLO: Method<String, String> =
///     Method::unary("/helloworld.Greeter/SayHello").with_timeout(Duration::from_secs(2));
/// assert_eq!(SAY_HELLO.descriptor().full_name(), "helloworld.Greeter/SayHello");
/// ```
pub struct Method<Req, Res> {
    descriptor: MethodDescriptor,
    messages: PhantomData<fn(Req) -> Res>,
}

impl<Req, Res> Method<Req, Res> {
    /// Describes a method with one request and one response.
    pub const fn unary(path: &'static str) -> Self {
        Self::new(path, MethodKind::Unary)
    }

    /// Describes a method with one request and many responses.
    pub const fn server_streaming(path: &'static str) -> Self {
        Self::new(path, MethodKind::ServerStreaming)
    }

    /// Describes a method with many requests and one response.
    pub const fn client_streaming(path: &'static str) -> Self {
        Self::new(path, MethodKind::ClientStreaming)
    }

    /// Describes a method with many requests and many responses.
    pub const fn bidi_streaming(path: &'static str) -> Self {
        Self::new(path, MethodKind::BidiStreaming)
    }

    const fn new(path: &'static str, kind: MethodKind) -> Self {
        let descriptor = MethodDescriptor {
            path,
            kind,
            idempotency: Idempotency::Unknown,
            timeout: None,
            attempts: AttemptPolicy::Single,
            wait_for_ready: false,
            max_request_message_size: None,
            max_response_message_size: None,
            retry_throttling: None,
            authorization: None,
            has_request_rules: false,
        };
        Self {
            descriptor,
            messages: PhantomData,
        }
    }

    /// States the method's `idempotency_level`.
    #[must_use]
    pub const fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.descriptor.idempotency = idempotency;
        self
    }

    /// Bounds every call of the method; a caller may ask for less or more.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.descriptor.timeout = Some(timeout);
        self
    }

    /// Retries failed attempts.
    ///
    /// # Panics
    ///
    /// When the policy is invalid; in a `static`, that is an error of the compiler.
    #[must_use]
    pub const fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        if let Err(invalid) = policy.validate() {
            panic!("{}", invalid.reason());
        }
        self.descriptor.attempts = AttemptPolicy::Retry(policy);
        self
    }

    /// Hedges: sends further attempts before the first has answered.
    ///
    /// # Panics
    ///
    /// When the policy is invalid; in a `static`, that is an error of the compiler.
    #[must_use]
    pub const fn with_hedging_policy(mut self, policy: HedgingPolicy) -> Self {
        if let Err(invalid) = policy.validate() {
            panic!("{}", invalid.reason());
        }
        self.descriptor.attempts = AttemptPolicy::Hedging(policy);
        self
    }

    /// Lets calls wait for a connection while none can be made, rather than fail.
    #[must_use]
    pub const fn with_wait_for_ready(mut self, wait: bool) -> Self {
        self.descriptor.wait_for_ready = wait;
        self
    }

    /// Limits what a call may send, in bytes per message as encoded and compressed.
    #[must_use]
    pub const fn with_max_request_message_size(mut self, bytes: usize) -> Self {
        self.descriptor.max_request_message_size = Some(bytes);
        self
    }

    /// Limits what a call may receive, in bytes per message, in place of the channel's limit.
    #[must_use]
    pub const fn with_max_response_message_size(mut self, bytes: usize) -> Self {
        self.descriptor.max_response_message_size = Some(bytes);
        self
    }

    /// Stops retries and hedges while many attempts fail. A server has one count of tokens: on a channel without
    /// throttling in its service config, that of the first such method that is called.
    #[must_use]
    pub const fn with_retry_throttling(mut self, throttling: RetryThrottling) -> Self {
        self.descriptor.retry_throttling = Some(throttling);
        self
    }

    /// Says who may call the method.
    #[must_use]
    pub const fn with_authorization(mut self, authorization: Authorization) -> Self {
        self.descriptor.authorization = Some(authorization);
        self
    }

    /// States that the proto has rules for the method's requests.
    #[must_use]
    pub const fn with_request_rules(mut self) -> Self {
        self.descriptor.has_request_rules = true;
        self
    }

    /// The descriptor without the types.
    pub const fn descriptor(&self) -> &MethodDescriptor {
        &self.descriptor
    }
}

impl<Req, Res> fmt::Debug for Method<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.descriptor.fmt(f)
    }
}
