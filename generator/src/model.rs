//! The model: everything a template may say, decided.
//!
//! Plain data, ready to be rendered: names are escaped, types are Rust paths, comments are rustdoc, policies are
//! validated. It is the contract that template authors write against; `wireloom model` prints it as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

/// gRPC's cap: a channel makes no more attempts unless it is told to, and no fewer where a published service config says
/// nothing of them.
pub(crate) const MAX_ATTEMPTS: u32 = 5;

/// What one run of the generator writes stubs for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// One entry per protobuf package that generates code, sorted by `proto_name`.
    pub packages: Vec<Package>,
    /// What service configs say of a channel as a whole, one entry per file; left out of the JSON where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel_configs: Vec<ChannelConfig>,
    /// What service configs say to no effect, with its place; not in the JSON.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// What a service config says that no method can take: a channel takes it at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelConfig {
    /// The service config.
    pub file: String,
    /// The names in `loadBalancingConfig`; the first that the channel has counts.
    pub load_balancing_policies: Vec<String>,
    /// The line of the first of them, from 1; 0 where there is none. Not in the JSON.
    #[serde(skip)]
    pub load_balancing_line: usize,
    /// `healthCheckConfig.serviceName`.
    pub health_check_service: Option<String>,
}

/// A protobuf package and the services it declares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Package {
    /// The package as the proto spells it (`helloworld.v1`); empty for files without one.
    pub proto_name: String,
    /// The Rust modules that lead to the package, escaped (`["helloworld", "v1"]`).
    pub rust_path: Vec<String>,
    /// The services, in the order of the files and within them.
    pub services: Vec<Service>,
}

/// A service: one client struct, one trait, one server struct, and one mock where mocks are wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// The name as the proto spells it (`Greeter`).
    pub proto_name: String,
    /// Package and name, as on the wire (`helloworld.Greeter`).
    pub full_name: String,
    /// The name of the trait that handlers implement (`Greeter`).
    pub rust_name: String,
    /// The name of the client struct (`GreeterClient`).
    pub client_name: String,
    /// The name of the server struct (`GreeterServer`).
    pub server_name: String,
    /// The name of the mock (`GreeterMock`).
    pub mock_name: String,
    /// The proto's comment on the service.
    pub docs: Docs,
    /// Whether the proto marks the service deprecated.
    pub deprecated: bool,
    /// Whether any method is deprecated: generated code that names one must allow that.
    pub has_deprecated_methods: bool,
    /// The constant with the service's descriptors, as seen from the module of its package (`super::FILE_DESCRIPTOR_SET`);
    /// left out of the JSON where they are not embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<String>,
    /// The methods, in the order of the proto.
    pub methods: Vec<Method>,
}

/// A method of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// The name as the proto spells it (`SayHello`).
    pub proto_name: String,
    /// The name of the Rust method, escaped (`say_hello`, `r#match`, `new_`).
    pub rust_name: String,
    /// The name of the descriptor static (`GREETER_SAY_HELLO`).
    pub descriptor_name: String,
    /// The HTTP/2 path (`/helloworld.Greeter/SayHello`).
    pub path: String,
    /// Which sides stream.
    pub kind: MethodKind,
    /// Whether the client sends many messages: `kind`, for templates, which compare nothing.
    pub client_streaming: bool,
    /// Whether the server sends many messages.
    pub server_streaming: bool,
    /// The call that the client's method returns (`UnaryCall`).
    pub call_type: String,
    /// The name of the mock's method that scripts this one: `rust_name`, unless mocks have it already (`verify_`).
    pub mock_name: String,
    /// What the mock's method returns (`UnaryMock`).
    pub mock_type: String,
    /// The request message.
    pub request: RustType,
    /// The response message.
    pub response: RustType,
    /// Whether the protos have rules for requests, which a server holds them to on request: of `buf.validate`, or
    /// `google.api.field_behavior = REQUIRED`.
    pub has_request_rules: bool,
    /// The proto's comment on the method.
    pub docs: Docs,
    /// Whether the proto marks the method deprecated.
    pub deprecated: bool,
    /// The proto's `idempotency_level`.
    pub idempotency: Idempotency,
    /// `idempotency` as a Rust path (`::wireloom::Idempotency::Idempotent`); `None` where nothing is known.
    pub idempotency_rust: Option<String>,
    /// Timeout, retries or hedging, and where each value comes from.
    pub policy: MethodPolicy,
}

/// Which sides of a method stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// A method's `idempotency_level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Idempotency {
    /// Nothing is known: doing it twice may differ from doing it once.
    #[default]
    Unknown,
    /// The method changes nothing.
    NoSideEffects,
    /// Doing it twice is the same as doing it once.
    Idempotent,
}

/// A message type, by both its names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RustType {
    /// The full proto name (`helloworld.HelloRequest`).
    pub proto_name: String,
    /// The Rust path as seen from the module of the method's package (`HelloRequest`, `super::common::Id`, `()`).
    pub rust_path: String,
}

/// A proto comment as rustdoc: one string per line, without `///`, already safe to compile.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Docs {
    /// The lines; empty where the proto has no comment.
    pub lines: Vec<String>,
}

/// The policy of a method.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MethodPolicy {
    /// The longest the whole call may take; `None` is no limit.
    pub timeout: Option<Sourced<ProtoDuration>>,
    /// What happens after a failed or a slow attempt; `None` is transparent retries only.
    pub attempts: Option<Sourced<AttemptPolicy>>,
    /// Where the timeout was switched off, if it was (`no_timeout`).
    pub no_timeout: Option<Origin>,
    /// Where retries and hedging were switched off, if they were (`no_retry`).
    pub no_retry: Option<Origin>,
    /// Whether calls wait for a connection while none can be made; `None` is that they fail.
    pub wait_for_ready: Option<Sourced<bool>>,
    /// The largest message that may be sent; `None` is no limit.
    pub max_request_message_bytes: Option<Sourced<Bytes>>,
    /// The largest message that may be received; `None` is the channel's limit.
    pub max_response_message_bytes: Option<Sourced<Bytes>>,
    /// When calls to the method's server stop retrying and hedging; `None` is never.
    pub retry_throttling: Option<Sourced<RetryThrottling>>,
    /// Who may call; `None` where nothing says so.
    pub authorization: Option<Sourced<Authorization>>,
    /// What was made of what a service config leaves out; left out of the JSON where there is nothing to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sourced<T> {
    /// The value in force.
    pub value: T,
    /// Where it was set.
    pub origin: Origin,
}

/// Where each field of a policy was set, by its name in options; one that is missing has a default. Empty for a policy that
/// nobody wrote.
pub type Origins = BTreeMap<&'static str, Origin>;

/// Where a policy's value was set; later variants win.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    /// The generator's defaults.
    Default,
    /// The method's `idempotency_level`, which the generator's defaults look at.
    IdempotencyLevel {
        /// The proto.
        file: String,
        /// The line, from 1; 0 where the descriptors do not say.
        line: usize,
    },
    /// `option (wireloom.service)` in the proto.
    ServiceOption {
        /// The proto.
        file: String,
        /// The line, from 1; 0 where the descriptors do not say.
        line: usize,
    },
    /// `option (wireloom.method)` in the proto.
    MethodOption {
        /// The proto.
        file: String,
        /// The line, from 1; 0 where the descriptors do not say.
        line: usize,
    },
    /// `wireloom.toml`; `key` is the table that set it (`methods."helloworld.Greeter/SayHello"`).
    Config {
        /// The configuration file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The table.
        key: String,
    },
    /// A service config; `key` is the field that set it (`methodConfig[2].timeout`, `methodConfig[2].retryPolicy`).
    ServiceConfig {
        /// The service config.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The path of the field.
        key: String,
    },
}

/// Retries or hedging: a method may not have both (gRFC A6).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptPolicy {
    /// Try again after a failure.
    Retry(RetryPolicy),
    /// Try again before there is a failure.
    Hedging(HedgingPolicy),
}

/// gRFC A6's `retryPolicy`, validated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// The delay before the first retry, before jitter.
    pub initial_backoff: ProtoDuration,
    /// The cap of the delay, before jitter.
    pub max_backoff: ProtoDuration,
    /// What the delay is multiplied by from retry to retry; above zero.
    pub backoff_multiplier: f64,
    /// `backoff_multiplier` as a Rust literal (`2.0`).
    pub backoff_multiplier_rust: String,
    /// The codes that are retried, never empty.
    pub retryable_status_codes: Vec<StatusCode>,
    /// Where each field was set; not in the JSON.
    #[serde(skip)]
    pub origins: Origins,
}

/// gRFC A6's `hedgingPolicy`, validated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HedgingPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// The time between one attempt and the next; zero sends all at once.
    pub hedging_delay: ProtoDuration,
    /// The codes that do not end the call while other attempts run.
    pub non_fatal_status_codes: Vec<StatusCode>,
    /// Where each field was set; not in the JSON.
    #[serde(skip)]
    pub origins: Origins,
}

/// gRFC A6's `retryThrottling`, validated; in thousandths of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetryThrottling {
    /// What there is at first, and at most.
    pub max_tokens_thousandths: u32,
    /// `max_tokens_thousandths` as a Rust literal (`10_000`).
    pub max_tokens_thousandths_rust: String,
    /// What a successful call gives back.
    pub token_ratio_thousandths: u32,
    /// `token_ratio_thousandths` as a Rust literal.
    pub token_ratio_thousandths_rust: String,
    /// Where each field was set; not in the JSON.
    #[serde(skip)]
    pub origins: Origins,
}

/// Who may call a method, validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorization {
    /// Anyone, anyone who is known, or those who meet what follows.
    pub who: Who,
    /// The scopes that a caller must have, all of them.
    pub scopes: Vec<String>,
    /// The scopes of which a caller must have one; empty where it needs none.
    pub any_scopes: Vec<String>,
    /// The names of client certificates that may call; empty where none is needed.
    pub identities: Vec<String>,
    /// A Rust expression (`::wireloom::Authorization::scopes(&["tasks.write"])`).
    pub rust: String,
}

/// Whether a method asks anything of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Nothing.
    Public,
    /// That it is known.
    Authenticated,
    /// That it has the scopes and is one of the identities.
    Required,
}

/// A number of bytes, by both its spellings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// The number.
    pub count: u64,
    /// A Rust literal (`65_536`).
    pub rust: String,
}

/// A duration, by both its spellings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProtoDuration {
    /// Proto JSON (`"1.5s"`).
    pub proto: String,
    /// A Rust expression (`::core::time::Duration::from_millis(1_500)`).
    pub rust: String,
}

/// A status code, by both its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusCode {
    /// The name in `google/rpc/code.proto` (`UNAVAILABLE`).
    pub proto: String,
    /// A Rust path (`::wireloom::Code::Unavailable`).
    pub rust: String,
}
