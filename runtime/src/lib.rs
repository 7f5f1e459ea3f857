//! The runtime of generated Wireloom services.
//!
//! Generated clients and servers are thin: they describe each method once and delegate to what is here, which owns
//! deadlines, retries, tracing, connections and shutdown. Calls speak gRPC over HTTP/2.
//!
//! - A client's calls go over a [`Channel`]; a [`Call`] is a value, and awaiting it sends it.
//! - A [`Server`] takes calls from a [`Listener`](server::Listener) to handlers, which are plain
//!   `async fn`s.
//! - Inside a handler, the [`Context`] holds the deadline, the trace and the cancellation of the call being served;
//!   calls made there inherit all three.
//!
//! [`Request`], [`Response`], [`Status`], [`Code`] and [`metadata`] are tonic's types.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attempt_number;
mod authentication;
mod authorization;
mod channel;
mod client;
#[doc(hidden)]
pub mod codegen;
mod compression;
mod context;
mod credentials;
mod deadline;
mod deferred;
#[cfg(feature = "error-details")]
pub mod error_details;
mod flow;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
pub mod health;
mod heard;
mod interceptor;
#[cfg(feature = "jwt")]
pub mod jwt;
mod limits;
mod linger;
mod memory;
mod method;
mod metrics;
#[cfg(feature = "mock")]
pub mod mock;
mod policy;
#[cfg(feature = "reflection")]
mod reflection;
mod request_head;
mod reserved;
mod response_head;
pub mod server;
mod service_config;
mod spans;
mod status;
mod streaming;
mod suggest;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;
#[cfg(feature = "validation")]
mod validation;

#[doc(hidden)]
pub use prost;
#[doc(hidden)]
pub use prost_types;
pub use tokio_stream;
#[cfg(feature = "tonic")]
#[doc(hidden)]
pub use tonic;
pub use tonic::{Code, IntoRequest, IntoStreamingRequest, Request, Response, Status, metadata};
#[cfg(feature = "tonic")]
#[doc(hidden)]
pub use tonic_prost;

pub use self::authentication::{AuthenticationRequest, Authenticator, Caller};
pub use self::authorization::{Authorization, Requirements};
pub use self::channel::{Channel, ChannelBuilder, ConnectivityState, StateWatch, resolver};
pub use self::client::{
    BidiStreamingCall, Call, CallOptions, ClientStreamingCall, ResponseBody, ServerStreamingCall,
    UnaryCall,
};
pub use self::compression::Compression;
pub use self::context::{Context, spawn};
pub use self::credentials::{BearerCredentials, BearerToken, CallCredentials, CredentialsRequest};
pub use self::deadline::Deadline;
pub use self::interceptor::{CallObserver, InterceptedCall, Interceptor, Next};
pub use self::method::{Idempotency, Method, MethodDescriptor, MethodKind};
#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
pub use self::policy::{
    AttemptPolicy, CircuitBreaker, FailurePercentageEjection, HedgingPolicy, InvalidPolicy,
    LoadBalancing, OutlierDetection, RetryPolicy, RetryThrottling, RingHash, SlowStart,
    StatusCodes, SuccessRateEjection,
};
pub use self::server::{MessageStream, Server};
pub use self::service_config::{InvalidServiceConfig, MethodConfig, ServiceConfig};
pub use self::streaming::Streaming;
pub use self::trace::{SpanId, TraceContext, TraceId};

/// Includes the code that `wireloom-build` generated in a build script: the whole module tree, whatever the packages.
///
/// ```ignore
/// mod proto {
///     wireloom::include_protos!();
/// }
/// ```
#[macro_export]
macro_rules! include_protos {
    () => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/wireloom.rs"));
    };
}
