//! The options of a channel.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, uri::Authority};
use tonic::Status;

use super::{
    Channel, Inner, PickRequest,
    active_config::ConfigSlot,
    connector::{Connector, Windows},
    core::{Core, Parts},
    keepalive::Keepalive,
    resolver::{Dns, ErasedResolver, Fixed, Resolver, System},
    security::{InsecureCredentials, SecurityOptions},
    subchannel::PoolSize,
    target::{Servers, Target},
};
use crate::{
    client::{CallOptions, ReplayBudget, RetryLimits},
    credentials::{CallCredentials, Credentials},
    interceptor::{Interceptor, Interceptors},
    limits::{CONNECTION_WINDOW, DEFAULT_MAX_ATTEMPTS, STREAM_WINDOW},
    metrics,
    policy::{CircuitBreaker, InvalidPolicy, LoadBalancing, OutlierDetection},
    server::Server,
    service_config::ServiceConfig,
};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("wireloom/", env!("CARGO_PKG_VERSION")));

/// As long as any clock can tell: 30 years.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What HTTP/2 begins with, and its largest window (RFC 9113, sections 6.9.1 and 6.9.2).
const MIN_WINDOW: u32 = 65_535;
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Options of a [`Channel`]; made by [`Channel::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect` or `lazy`"]
pub struct ChannelBuilder {
    name: String,
    target: Result<Target, Status>,
    security: SecurityOptions,
    resolver: Option<Arc<dyn ErasedResolver>>,
    load_balancing: LoadBalancing,
    outlier_detection: Option<OutlierDetection>,
    circuit_breaker: Option<CircuitBreaker>,
    pool: PoolSize,
    authority: Option<String>,
    user_agent: Option<String>,
    connect_timeout: Duration,
    dns_refresh_interval: Duration,
    keepalive: Option<Keepalive>,
    windows: Windows,
    idle_timeout: Option<Duration>,
    health_check: Option<Arc<str>>,
    service_config: Option<ServiceConfig>,
    retry_limits: RetryLimits,
    max_channel_replay_buffer_size: usize,
    call_options: Option<CallOptions>,
    credentials: Credentials,
    max_receive_message_size: Option<usize>,
    interceptors: Interceptors,
    meters: metrics::Source,
}

impl ChannelBuilder {
    pub(super) fn new(target: &str) -> Self {
        Self::to(target, Target::parse(target))
    }

    pub(super) fn in_process(server: Server) -> Self {
        let server = server.into_process();
        Self::to("in-process", server.map(Target::in_process))
    }

    #[cfg(test)]
    pub(crate) fn scripted(peer: Arc<wireloom_peer::Peer>) -> Self {
        use super::address::{Address, Transport};
        use crate::memory::InProcess;
        let peer = Transport::InProcess(InProcess::new("scripted", peer));
        Self::new("scripted").resolver(Fixed(vec![Address::of(peer)]))
    }

    fn to(name: &str, target: Result<Target, Status>) -> Self {
        Self {
            name: name.to_owned(),
            target,
            security: SecurityOptions::of(name),
            resolver: None,
            load_balancing: LoadBalancing::default(),
            outlier_detection: None,
            circuit_breaker: None,
            pool: PoolSize { min: 1, max: 4 },
            authority: None,
            user_agent: None,
            connect_timeout: Duration::from_secs(20),
            dns_refresh_interval: Duration::from_secs(60),
            keepalive: None,
            windows: Windows {
                stream: STREAM_WINDOW,
                connection: CONNECTION_WINDOW,
            },
            idle_timeout: Some(Duration::from_secs(30 * 60)),
            health_check: None,
            service_config: None,
            retry_limits: RetryLimits {
                max_attempts: DEFAULT_MAX_ATTEMPTS,
                max_replay_buffer_size: 256 << 10,
            },
            max_channel_replay_buffer_size: 16 << 20,
            call_options: None,
            credentials: Credentials::default(),
            max_receive_message_size: None,
            interceptors: Interceptors::default(),
            meters: metrics::Source::default(),
        }
    }

    /// Bounds the making of a connection: name resolution, TCP, TLS and HTTP/2 together. The default is 20 seconds, as in
    /// gRPC's [connection backoff].
    ///
    /// [connection backoff]: https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(FOREVER);
        self
    }

    /// Finds the addresses of the target by `resolver`, in place of DNS; the target may then be of any form.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// How often DNS is asked without a reason; a connection that is lost or cannot be made is one, some seconds after the
    /// last answer. The default is 60 seconds.
    pub fn dns_refresh_interval(mut self, interval: Duration) -> Self {
        self.dns_refresh_interval = interval.min(FOREVER);
        self
    }

    /// How calls are spread over the target's addresses, where the service config does not say. The default is
    /// [`LoadBalancing::PickFirst`], without shuffling.
    pub fn load_balancing(mut self, policy: LoadBalancing) -> Self {
        self.load_balancing = policy;
        self
    }

    /// Leaves out addresses whose calls fail more than those of others; see [`OutlierDetection`]. One that a service config
    /// asks for stands in its place. The default does not.
    pub fn outlier_detection(mut self, detection: OutlierDetection) -> Self {
        self.outlier_detection = Some(detection);
        self
    }

    /// Sends no more calls of a method to an address where too many fail; see [`CircuitBreaker`]. The default has
    /// no breaker.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.circuit_breaker = Some(breaker);
        self
    }

    /// How many connections there are to each address: more spread the work over more threads. The default is 1.
    ///
    /// Where the streams of all are in use, as the server limits them, another is made, up to
    /// [`max_connections`](Self::max_connections).
    pub fn connections(mut self, count: usize) -> Self {
        self.pool.min = count.max(1);
        self
    }

    /// The most connections to each address. The default is 4, or [`connections`](Self::connections) where that is more;
    /// calls that find no room on any wait for their turn.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.pool.max = count.max(1);
        self
    }

    /// Pings a connection with calls on which nothing has come in for `time`, and gives it up where no answer comes within
    /// the [timeout](Self::keepalive_timeout): so a peer that is gone without a word is found before the calls' deadlines.
    /// Off by default; below 10 seconds means 10.
    ///
    /// Servers close connections that ping more often than they allow: by default, grpc-go's and C++'s want 5 minutes. A
    /// channel whose connection was closed for that doubles the time ([gRFC A8]).
    ///
    /// [gRFC A8]: https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
    pub fn keepalive(mut self, time: Duration) -> Self {
        self.keepalive.get_or_insert_default().time = time;
        self
    }

    /// How long the answer to a [keepalive](Self::keepalive) ping may take. The default is 20 seconds.
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.keepalive.get_or_insert_default().timeout = timeout.min(FOREVER);
        self
    }

    /// Whether connections without calls are pinged, too, which servers have to allow. The default is false.
    pub fn keepalive_without_calls(mut self, without_calls: bool) -> Self {
        self.keepalive.get_or_insert_default().without_calls = without_calls;
        self
    }

    /// Closes all connections once there has been no call for so long (within a quarter of it); the next call makes them
    /// again. `None` keeps them. The default is 30 minutes, as in grpc-go.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout
            .into()
            .map(|timeout| timeout.max(Duration::from_secs(1)));
        self
    }

    /// Sends calls to an address only while its server says that it serves `service` (`grpc.health.v1.Health/Watch`,
    /// [gRFC A17]); the empty name stands for the server as a whole. The service config's `healthCheckConfig` replaces it.
    /// The default checks nothing. A server that does not have the health service is taken for well.
    ///
    /// It has no effect with [`LoadBalancing::PickFirst`], as in gRPC: there is no other address to go to.
    ///
    /// [gRFC A17]: https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md
    pub fn health_check(mut self, service: &str) -> Self {
        self.health_check = Some(service.into());
        self
    }

    /// How many bytes a server may send on one stream before they are read, from 65,535 to 2,147,483,647. The default is
    /// 2 MiB: enough for 1 Gbit/s at a round trip of 16 ms.
    pub fn stream_window_size(mut self, bytes: u32) -> Self {
        self.windows.stream = bytes.clamp(MIN_WINDOW, MAX_WINDOW);
        self
    }

    /// How many bytes a server may send on all streams of one connection before they are read, from 65,535 to
    /// 2,147,483,647. The default is 16 MiB: seven streams that nobody reads leave room for an eighth.
    pub fn connection_window_size(mut self, bytes: u32) -> Self {
        self.windows.connection = bytes.clamp(MIN_WINDOW, MAX_WINDOW);
        self
    }

    /// What requests carry as `:authority`, and whose certificate the server must have over TLS unless
    /// `ClientTls::server_name` says another; the default is the target's host and port, or `localhost`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Secures connections by TLS. Without it, an `https://` target has TLS with the system's roots, and any other target is
    /// in plaintext; with it, `http://` is an error.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ClientTls) -> Self {
        self.security.tls = Some(tls);
        self
    }

    /// Lets call credentials go in plaintext, where whoever is on the way can take and use them: for tests, and for
    /// networks that are secured below TCP. The default refuses it. See [`CallCredentials`](crate::CallCredentials).
    pub fn allow_insecure_credentials(mut self) -> Self {
        self.security.insecure_credentials = InsecureCredentials::Allowed;
        self
    }

    /// Put before Wireloom's own product in the `user-agent`.
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// Timeouts, retries, hedging and throttling per method, as a [gRPC service config]. Its timeout is one more bound of
    /// each call, its retry or hedging policy stands in for the method's own; what is set on a call wins over the policy.
    /// The default says nothing. [`Channel::set_service_config`] replaces it later.
    ///
    /// [gRPC service config]: https://github.com/grpc/grpc/blob/master/doc/service_config.md
    pub fn service_config(mut self, config: ServiceConfig) -> Self {
        self.service_config = Some(config);
        self
    }

    /// The most attempts that any call makes, whatever its policy says. The default is 5; below 2 means 5 ([gRFC A6]).
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.retry_limits.max_attempts = if attempts < 2 {
            DEFAULT_MAX_ATTEMPTS
        } else {
            attempts
        };
        self
    }

    /// The most bytes of messages that a call keeps for further attempts; a call that sends more is not retried. The
    /// default is 256 KiB.
    pub fn max_replay_buffer_size(mut self, bytes: usize) -> Self {
        self.retry_limits.max_replay_buffer_size = bytes;
        self
    }

    /// The most bytes of messages that all calls of the channel together keep for further attempts; a call that finds no
    /// room goes on, but is not retried. The default is 16 MiB.
    pub fn max_channel_replay_buffer_size(mut self, bytes: usize) -> Self {
        self.max_channel_replay_buffer_size = bytes;
        self
    }

    /// What calls are made with, where they do not say themselves: see [`CallOptions`]. Replaces what was given before.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.call_options = Some(options);
        self
    }

    /// Has `credentials` give metadata to each attempt of every call, after those of the channel's
    /// [`call_options`](Self::call_options), and before the call's own. They go over TLS and Unix sockets alone, unless
    /// [`allow_insecure_credentials`](Self::allow_insecure_credentials) says more; see [`CallCredentials`].
    pub fn credentials(mut self, credentials: impl CallCredentials) -> Self {
        self.credentials.add(credentials);
        self
    }

    /// Runs `interceptor` around every call. The one that is added first is the outermost; see [`Interceptor`].
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.add(interceptor);
        self
    }

    /// Records metrics of all calls; the default records none.
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: crate::Metrics) -> Self {
        self.meters = metrics::Source::new(metrics);
        self
    }

    /// The largest message that a call accepts, in bytes: [`CallOptions::max_receive_message_size`] for all calls. The
    /// default is 4 MiB.
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.max_receive_message_size = Some(bytes);
        self
    }

    /// Makes the channel; it connects at its first call.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no target, no authority, no product, no valid option of calls, no policy that can work, or
    /// no TLS that can be had, and for credentials that would go in plaintext.
    pub fn lazy(mut self) -> Result<Channel, Status> {
        let call_options = self.take_call_options()?;
        let balancing = self.load_balancing.validate();
        valid(self.load_balancing.name(), balancing)?;
        if let Some(detection) = &self.outlier_detection {
            valid("outlier detection", detection.validate())?;
        }
        if let Some(breaker) = &self.circuit_breaker {
            valid("circuit breaker", breaker.validate())?;
        }
        let target = match (self.target, &self.resolver) {
            (Err(_), Some(_)) => Target::custom(&self.name),
            (target, _) => target?,
        };
        let authority = match &self.authority {
            Some(authority) => authority.parse::<Authority>().map_err(|error| {
                Status::invalid_argument(format!("invalid authority {authority:?}: {error}"))
            })?,
            None => target.authority().clone(),
        };
        let user_agent = match &self.user_agent {
            Some(product) => format!("{product} wireloom/{}", env!("CARGO_PKG_VERSION"))
                .parse()
                .map_err(|_| {
                    Status::invalid_argument(format!(
                        "invalid user agent {product:?}: it must be visible ASCII"
                    ))
                })?,
            None => USER_AGENT,
        };
        let insecure_credentials = self.security.insecure_credentials;
        let security = self.security.decide(authority.host())?;
        // What passes a Unix socket stays in the machine's kernel, which is what gRPC's local credentials hold of it, too.
        let stays_here = self.resolver.is_none() && target.is_local();
        let takes_credentials = security.is_secure()
            || stays_here
            || insecure_credentials == InsecureCredentials::Allowed;
        let has_credentials = call_options
            .as_ref()
            .is_some_and(CallOptions::has_credentials);
        if has_credentials && !takes_credentials {
            return Err(Status::invalid_argument(
                "the channel has call credentials and is in plaintext, where anybody on the way could take them: use \
                 https:// or `ChannelBuilder::tls`, or say `ChannelBuilder::allow_insecure_credentials`",
            ));
        }
        let resolver = self.resolver.unwrap_or_else(|| match target.servers() {
            Servers::Hosts(hosts) => Arc::new(Dns {
                hosts: hosts.clone(),
                timeout: self.connect_timeout,
                refresh_interval: self.dns_refresh_interval,
                lookup: System,
            }),
            Servers::Fixed(addresses) => Arc::new(Fixed(addresses.clone())),
        });
        let core = Core::new(Parts {
            connector: Connector {
                target: target.to_string().into(),
                authority: authority.clone(),
                user_agent: user_agent.clone(),
                security: security.clone(),
                timeout: self.connect_timeout,
                keepalive: self.keepalive,
                windows: self.windows,
            },
            resolver,
            pool: PoolSize {
                max: self.pool.max.max(self.pool.min),
                ..self.pool
            },
            default_policy: self.load_balancing,
            outlier_detection: self.outlier_detection,
            circuit_breaker: self.circuit_breaker,
            health_check: self.health_check,
            idle_timeout: self.idle_timeout,
            config: ConfigSlot::new(self.service_config),
        });
        let inner = Inner {
            target,
            authority,
            security,
            takes_credentials,
            core,
            user_agent,
            retry_limits: self.retry_limits,
            replay_budget: Arc::new(ReplayBudget::new(self.max_channel_replay_buffer_size)),
            throttle_of_methods: OnceLock::new(),
            call_options,
            interceptors: self.interceptors,
            meters: self.meters,
        };
        Ok(Channel {
            inner: Arc::new(inner),
        })
    }

    fn take_call_options(&mut self) -> Result<Option<CallOptions>, Status> {
        let mut options = self.call_options.take();
        if let Some(bytes) = self.max_receive_message_size {
            let given = options.unwrap_or_default();
            options = Some(given.over(&CallOptions::new().max_receive_message_size(bytes)));
        }
        let credentials = std::mem::take(&mut self.credentials);
        if !credentials.is_empty() {
            options = Some(options.unwrap_or_default().with_credentials(credentials));
        }
        if let Some(options) = &mut options {
            options.check_valid()?;
        }
        Ok(options)
    }

    /// Makes the channel and its connection.
    ///
    /// # Errors
    ///
    /// As [`lazy`](Self::lazy), and UNAVAILABLE where nothing answers.
    pub async fn connect(self) -> Result<Channel, Status> {
        let channel = self.lazy()?;
        let request = PickRequest {
            path: "",
            metadata: &HeaderMap::new(),
            wait_for_ready: false,
        };
        channel.pick(request).await?;
        Ok(channel)
    }
}

fn valid(name: &str, checked: Result<(), InvalidPolicy>) -> Result<(), Status> {
    checked.map_err(|reason| Status::invalid_argument(format!("invalid {name}: {reason}")))
}
