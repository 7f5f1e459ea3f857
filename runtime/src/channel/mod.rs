//! The channel: where a client's calls go, and how they get there.

mod active_config;
mod address;
mod balancer;
mod breaker;
mod builder;
mod connection;
mod connector;
mod core;
mod keepalive;
mod outcome;
mod outliers;
mod pick_request;
mod redial;
pub mod resolver;
mod security;
mod state;
mod streams;
mod subchannel;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::{
    HeaderValue,
    uri::{Authority, PathAndQuery, Uri},
};
use prost::Message;
use tonic::{IntoRequest, IntoStreamingRequest, Status};

pub(crate) use self::active_config::ActiveConfig;
pub use self::builder::ChannelBuilder;
pub(crate) use self::connection::Connection;
pub(crate) use self::outcome::Outcome;
pub(crate) use self::pick_request::{PickRequest, Unpicked};
pub use self::state::{ConnectivityState, StateWatch};
pub(crate) use self::streams::Room;
use self::{core::Core, security::Security, target::Target};
use crate::{
    client::{
        BidiStreamingCall, Call, CallOptions, ClientStreamingCall, ReplayBudget, RetryLimits,
        ServerStreamingCall, TokenBucket, UnaryCall,
    },
    interceptor::Interceptors,
    method::Method,
    metrics,
    policy::RetryThrottling,
    server::{Server, Service},
    service_config::{InvalidServiceConfig, ServiceConfig},
};

/// A handle to a service, however many servers it has: clones share its connections, which are made when first needed and
/// again when they are lost.
///
/// ```no_run
/// # async fn example() -> Result<(), wireloom::Status> {
/// use std::time::Duration;
/// use wireloom::Channel;
///
/// let channel = Channel::connect("http://localhost:50051").await?;
/// // Or with options, connecting at the first call:
/// let channel = Channel::builder("unix:/run/greeter.sock").connect_timeout(Duration::from_secs(2)).lazy()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    authority: Authority,
    security: Security,
    takes_credentials: bool,
    core: Arc<Core>,
    user_agent: HeaderValue,
    retry_limits: RetryLimits,
    replay_budget: Arc<ReplayBudget>,
    /// The bucket of methods that state a throttling, where no service config does.
    throttle_of_methods: OnceLock<Arc<TokenBucket>>,
    call_options: Option<CallOptions>,
    interceptors: Interceptors,
    meters: metrics::Source,
}

impl Channel {
    /// Connects to `target`: `http://host:port`, `host:port`, `dns:///host:port`, `static:host:port,host:port`, `unix:path` or
    /// `unix:///path`; with the feature `tls`, `https://host:port` or `https://host`, whose port is 443.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no target, UNAVAILABLE where nothing answers there.
    pub async fn connect(target: &str) -> Result<Self, Status> {
        Self::builder(target).connect().await
    }

    /// Makes a channel to `target` that connects at its first call.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no target.
    pub fn lazy(target: &str) -> Result<Self, Status> {
        Self::builder(target).lazy()
    }

    /// Starts a channel to `target` with other options than the defaults.
    pub fn builder(target: &str) -> ChannelBuilder {
        ChannelBuilder::new(target)
    }

    /// A channel to a service in this process, over memory: for tests, and for services that live together. All that holds
    /// of calls over a network holds here: deadlines, policies, interceptors, metadata, limits. Who may call its methods is not
    /// asked: the caller is the process itself.
    ///
    /// ```
    /// # async fn example(greeter: impl wireloom::server::Service) {
    /// let channel = wireloom::Channel::from_service(greeter);
    /// # }
    /// ```
    pub fn from_service(service: impl Service) -> Self {
        let server = Server::builder().add_service(service).of_this_process();
        let channel = Self::in_process(server).lazy();
        channel.expect("nothing is set that may not be")
    }

    /// Starts a channel to a server in this process, with options of both. TLS of the server does not hold on the way: there
    /// is nobody in between. Authorization does; nobody has a client certificate. The server ends when the channel has been dropped and its calls have ended.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use wireloom::{CallOptions, Channel, Server, Status, server::Service};
    /// # fn example(greeter: impl Service, greeter_of_old: impl Service) -> Result<(), Status> {
    /// let server = Server::builder().add_service(greeter).add_service(greeter_of_old);
    /// let options = CallOptions::new().timeout(Duration::from_secs(1));
    /// let channel = Channel::in_process(server).call_options(options).lazy()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_process(server: Server) -> ChannelBuilder {
        ChannelBuilder::in_process(server)
    }

    /// A call of a method with one request and one response; awaiting it sends it.
    pub fn unary<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        request: impl IntoRequest<Req>,
    ) -> UnaryCall<Req, Res>
    where
        Req: Message,
        Res: Message + Default,
    {
        Call::with_message(self.clone(), method, request.into_request())
    }

    /// A call of a method with one request and many responses; awaiting it sends it.
    pub fn server_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        request: impl IntoRequest<Req>,
    ) -> ServerStreamingCall<Req, Res>
    where
        Req: Message,
        Res: Message + Default,
    {
        Call::with_message(self.clone(), method, request.into_request())
    }

    /// A call of a method with many requests and one response; awaiting it sends them as `requests` yields them.
    pub fn client_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        requests: impl IntoStreamingRequest<Message = Req>,
    ) -> ClientStreamingCall<Req, Res>
    where
        Req: Message + 'static,
        Res: Message + Default,
    {
        Call::with_messages(self.clone(), method, requests.into_streaming_request())
    }

    /// A call of a method with many requests and many responses; awaiting it sends them as `requests` yields them.
    pub fn bidi_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        requests: impl IntoStreamingRequest<Message = Req>,
    ) -> BidiStreamingCall<Req, Res>
    where
        Req: Message + 'static,
        Res: Message + Default,
    {
        Call::with_messages(self.clone(), method, requests.into_streaming_request())
    }

    /// Replaces the service config, of all clones: calls that start from now on follow it, those in flight keep theirs.
    pub fn set_service_config(&self, config: ServiceConfig) {
        self.update_service_config(Ok(config));
    }

    /// Takes what came of reading a service config from where it is kept, as [gRFC A21] has it: a valid one replaces the
    /// current one; an invalid one changes nothing, unless there is no current one, neither from an earlier update nor
    /// from [`ChannelBuilder::service_config`]: then calls fail with UNAVAILABLE, or wait if they
    /// [wait for ready](CallOptions::wait_for_ready), until a valid one comes.
    ///
    /// ```
    /// # fn example(channel: &wireloom::Channel, json: &str) {
    /// channel.update_service_config(wireloom::ServiceConfig::from_json(json));
    /// # }
    /// ```
    ///
    /// [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md
    pub fn update_service_config(&self, update: Result<ServiceConfig, InvalidServiceConfig>) {
        self.inner.core.config.update(update);
        self.inner.core.reconfigured();
    }

    /// Whether the channel has connections; see [`watch_state`](Self::watch_state).
    pub fn state(&self) -> ConnectivityState {
        self.watch_state().current()
    }

    /// Follows the [state](Self::state). It wakes nothing up: a channel that is [lazy](Self::lazy) or idle connects with its
    /// next call.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), wireloom::Status> {
    /// use wireloom::{Channel, ConnectivityState};
    ///
    /// let channel = Channel::connect("http://localhost:50051").await?;
    /// let mut state = channel.watch_state();
    /// tokio::spawn(async move {
    ///     loop {
    ///         match state.changed().await {
    ///             ConnectivityState::Shutdown => return,
    ///             state => println!("{state}"),
    ///         }
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_state(&self) -> StateWatch {
        self.inner.core.watch_state()
    }

    /// The service config of a call that starts now.
    pub(crate) fn active_config(&self) -> Arc<ActiveConfig> {
        self.inner.core.config.current()
    }

    /// Waits until there is a valid service config.
    pub(crate) async fn valid_config(&self) {
        self.inner.core.config.valid().await;
    }

    /// A connection with room for a stream.
    pub(crate) async fn pick(&self, request: PickRequest<'_>) -> Result<Connection, Unpicked> {
        if request.wait_for_ready {
            self.valid_config().await;
        }
        self.inner.core.config.check().map_err(Unpicked::Failed)?;
        self.inner.core.pick(request).await
    }

    pub(crate) fn uri(&self, path: &PathAndQuery) -> Uri {
        target::uri(self.inner.security.scheme(), &self.inner.authority, path)
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.inner.authority
    }

    /// Whether call credentials may be sent.
    pub(crate) fn takes_credentials(&self) -> bool {
        self.inner.takes_credentials
    }

    /// What spans call `server.address`.
    pub(crate) fn target(&self) -> &dyn fmt::Display {
        &self.inner.target
    }

    pub(crate) fn user_agent(&self) -> &HeaderValue {
        &self.inner.user_agent
    }

    pub(crate) fn retry_limits(&self) -> RetryLimits {
        self.inner.retry_limits
    }

    pub(crate) fn replay_budget(&self) -> &Arc<ReplayBudget> {
        &self.inner.replay_budget
    }

    /// How many bytes calls keep for further attempts.
    #[cfg(test)]
    pub(crate) fn replay_buffered_bytes(&self) -> usize {
        self.inner.replay_budget.used()
    }

    /// The bucket of a method that states `throttling`: one for the server, that of the first such method.
    pub(crate) fn throttle_of_methods(&self, throttling: RetryThrottling) -> Arc<TokenBucket> {
        let bucket = || active_config::bucket(throttling);
        Arc::clone(self.inner.throttle_of_methods.get_or_init(bucket))
    }

    pub(crate) fn call_options(&self) -> Option<&CallOptions> {
        self.inner.call_options.as_ref()
    }

    pub(crate) fn meters(&self) -> &metrics::Source {
        &self.inner.meters
    }

    pub(crate) fn interceptors(&self) -> &Interceptors {
        &self.inner.interceptors
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.inner.target)
            .finish_non_exhaustive()
    }
}
