//! What a server is told, and the defaults.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{
    Runtimes, Server, admission::AdmissionOptions, encoding::ResponseCompression, lifetime,
    protection, router::is_asked_of_any_server, settings::Origins, web::Layers,
};
use crate::{
    Compression,
    authentication::{Authenticator, Authenticators},
    authorization::Authorization,
    deadline::Deadline,
    health::HealthReporter,
    interceptor::{Interceptor, Interceptors},
    limits::{HANDSHAKE_TIMEOUT, MAX_RECEIVE_MESSAGE_SIZE},
    metrics::ServerSource,
};

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) blocking_threshold: Duration,
    pub(super) default_timeout: Duration,
    pub(super) listen: Vec<String>,
    /// Whether listeners were made of `listen`.
    pub(super) is_listen_used: Arc<AtomicBool>,
    pub(super) web: Layers,
    pub(super) runtimes: Runtimes,
    pub(super) notifies_systemd: bool,
    pub(super) origins: Origins,
    pub(super) health: Option<HealthReporter>,
    pub(super) admission: AdmissionOptions,
    pub(super) interceptors: Interceptors,
    pub(super) lame_duck_time: Duration,
    pub(super) lifetime: lifetime::LifetimeLimits,
    pub(super) metrics: ServerSource,
    pub(super) shutdown_timeout: Duration,
    pub(super) max_receive_message_size: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) compression: ResponseCompression,
    pub(super) protection: protection::ProtectionLimits,
    #[cfg(feature = "reflection")]
    pub(super) reflection: bool,
    pub(super) rules: Rules,
    #[cfg(any(feature = "reflection", feature = "validation"))]
    pub(super) descriptor_sets: Vec<&'static [u8]>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ServerTls>,
    /// Of all listeners whose own TLS does not say another.
    pub(super) tls_handshake_timeout: Duration,
    pub(super) authenticators: Authenticators,
    /// By the name of a service or a method.
    pub(super) authorizations: BTreeMap<String, Authorization>,
    pub(super) restriction: Restriction,
}

/// What becomes of the rules that protos have for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Nobody holds requests to them, and nobody has said that this is as it should be.
    Unsaid,
    /// Nobody here is to do so.
    Left,
    #[cfg(feature = "validation")]
    Held,
}

/// Whether callers are held to what is declared of who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restriction {
    AsDeclared,
    /// Though it may be declared otherwise.
    Lifted,
    /// The caller is the process itself.
    Needless,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            blocking_threshold: Duration::from_millis(100),
            default_timeout: Duration::MAX,
            listen: Vec::new(),
            is_listen_used: Arc::default(),
            web: Layers::default(),
            runtimes: Runtimes::default(),
            notifies_systemd: false,
            origins: Origins::default(),
            health: Some(HealthReporter::new()),
            admission: AdmissionOptions::default(),
            interceptors: Interceptors::default(),
            lame_duck_time: Duration::ZERO,
            lifetime: lifetime::LifetimeLimits::default(),
            metrics: ServerSource::default(),
            shutdown_timeout: Duration::from_secs(30),
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_concurrent_streams: 250,
            compression: ResponseCompression::default(),
            protection: protection::ProtectionLimits::default(),
            #[cfg(feature = "reflection")]
            reflection: false,
            rules: Rules::Unsaid,
            #[cfg(any(feature = "reflection", feature = "validation"))]
            descriptor_sets: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            tls_handshake_timeout: HANDSHAKE_TIMEOUT,
            authenticators: Authenticators::default(),
            authorizations: BTreeMap::new(),
            restriction: Restriction::AsDeclared,
        }
    }
}

impl Options {
    /// The deadline of a call of `path` that states none.
    pub(super) fn default_deadline(&self, path: &str) -> Option<Deadline> {
        let is_bounded = self.default_timeout < Duration::MAX && !is_asked_of_any_server(path);
        is_bounded.then(|| Deadline::after(self.default_timeout))
    }

    /// Whether everyone may call everything.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.restriction != Restriction::AsDeclared
    }

    /// Whether clients may prove themselves by certificates, where a listener does not say so.
    pub(super) fn take_client_certificates(&self) -> bool {
        #[cfg(feature = "tls")]
        let takes = self
            .tls
            .as_ref()
            .is_some_and(crate::tls::ServerTls::takes_client_certificates);
        #[cfg(not(feature = "tls"))]
        let takes = false;
        takes
    }
}

impl Server {
    /// Serves on runtimes of the server's own, one per core and of one thread each, instead of the one that it is started on: no
    /// call moves between threads then, and each costs less. The short form of [`runtimes`](Self::runtimes).
    ///
    /// Connections go to the runtime that has the fewest. A handler may spawn tasks, which stay on its runtime and end with it,
    /// when the server has shut down; blocking work goes to `tokio::task::spawn_blocking`. One that blocks its thread holds up
    /// all connections of the runtime, and `tokio::task::block_in_place`, which needs a runtime of several threads, panics:
    /// its call ends with INTERNAL.
    pub fn runtime_per_core(self) -> Self {
        self.runtimes(Runtimes::PerCore)
    }

    /// Which runtimes serve connections. The default is the one that the server is started on.
    pub fn runtimes(mut self, runtimes: Runtimes) -> Self {
        self.options.runtimes = runtimes;
        self
    }

    /// Tells systemd when the server serves (`READY=1`) and when it begins to shut down (`STOPPING=1`), for units with
    /// `Type=notify`. It says nothing where `NOTIFY_SOCKET` is not set. The default is not to.
    pub fn notify_systemd(mut self) -> Self {
        self.options.notifies_systemd = true;
        self
    }

    /// Runs `interceptor` around every handler. The one that is added first is the outermost; see [`Interceptor`].
    ///
    /// [`Interceptor`]: crate::Interceptor
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.options.interceptors.add(interceptor);
        self
    }

    /// Answers `grpc.health.v1` by what `reporter` says, to which the server's services are made known. Without it, they are
    /// answered all the same, by a reporter of the server's own: see [`health_reporter`](Self::health_reporter).
    ///
    /// Several servers may share a reporter. The first that shuts down says so for all.
    pub fn health(mut self, reporter: HealthReporter) -> Self {
        self.options.health = Some(reporter);
        self
    }

    /// Does not answer `grpc.health.v1`. A service of that name that is added comes before the server's own anyway.
    pub fn without_health(mut self) -> Self {
        self.options.health = None;
        self
    }

    /// What says how this server's services are, unless it is [without health](Self::without_health).
    pub fn health_reporter(&self) -> Option<HealthReporter> {
        self.options.health.clone()
    }

    /// How long the server goes on accepting connections and calls once it has been told to shut down, while its health is
    /// NOT_SERVING already. The default is zero.
    ///
    /// Where a load balancer or Kubernetes takes some time to stop sending new connections here, this should be as long.
    /// [`shutdown_timeout`](Self::shutdown_timeout) begins after it.
    pub fn lame_duck_time(mut self, time: Duration) -> Self {
        self.options.lame_duck_time = time;
        self
    }

    /// How long calls may go on once the server shuts down, before they are cut off with UNAVAILABLE. The default is
    /// 30 seconds; zero cuts them off at once.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.options.shutdown_timeout = timeout;
        self
    }

    /// The timeout of calls that state none, from when they are received: they end with DEADLINE_EXCEEDED as those do whose
    /// client set it. No limit by default, as [`Duration::MAX`] is, and as in grpc-go and grpc-java; zero fails `serve` with
    /// INVALID_ARGUMENT.
    ///
    /// It bounds how long a client may take to send its request, too, so set it where clients are not trusted. It holds for
    /// streams as well, but not for health checks and reflection: a client that wants a longer one states a deadline.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.options.default_timeout = timeout;
        self
    }

    /// How long a handler may keep the thread that it runs on, between two waits, before that is reported: by a warning with
    /// the method's name, while the thread is still blocked, and by a count in its metrics. The default is
    /// 100 milliseconds; [`Duration::MAX`] reports nothing.
    ///
    /// Other calls, and whole connections, wait for such a thread: what blocks or computes for long belongs to
    /// `tokio::task::spawn_blocking`. `block_in_place` counts as well.
    pub fn blocking_threshold(mut self, threshold: Duration) -> Self {
        self.options.blocking_threshold = threshold;
        self
    }

    /// Records metrics of this server and of the calls that it serves.
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: crate::Metrics) -> Self {
        self.options.metrics = ServerSource::new(metrics);
        self
    }

    /// The largest message, in bytes: both [of requests](Self::max_receive_message_size) and [of
    /// responses](Self::max_send_message_size), of which either may be set by itself.
    ///
    /// It holds for each message of a stream, and for what a compressed one becomes. A call with a larger one ends with
    /// RESOURCE_EXHAUSTED, and a message that names the setting of that direction.
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.max_receive_message_size(bytes)
            .max_send_message_size(bytes)
    }

    /// The largest response message that is sent, in bytes before it is compressed. There is no limit by default, as in
    /// every gRPC implementation: it is the client that has one. Of a service that tonic generated, it is the size on the
    /// wire.
    pub fn max_send_message_size(mut self, bytes: usize) -> Self {
        self.options.compression.max_message_size = bytes;
        self
    }

    /// The largest message that is accepted, in bytes. The default is 4 MiB.
    ///
    /// A service that tonic generated decompresses messages by itself: theirs is the size on the wire, and tonic's own
    /// `max_decoding_message_size`, of 4 MiB as well, holds beside it.
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.options.max_receive_message_size = bytes;
        self
    }

    /// The most calls that one connection may have under way. The default is 250, as in Go's HTTP/2 server.
    ///
    /// What a connection can make a server do at once, and keep, grows with it. A client with more calls than that has
    /// them wait, or opens another connection, as [`Channel`](crate::Channel)s do. Streams beyond the limit are refused
    /// so that they may be tried again (REFUSED_STREAM).
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.options.max_concurrent_streams = streams;
        self
    }

    /// Answers `grpc.reflection.v1` and `v1alpha`, so that clients without protos, such as grpcurl, can list the services,
    /// show what they are, and call them. The default is not to: it tells whoever asks.
    ///
    /// Services are known by the descriptors that the generator embeds (`descriptors = true` in `wireloom.toml`); those
    /// without are listed, and no more. See [gRPC's server reflection].
    ///
    /// [gRPC's server reflection]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
    #[cfg(feature = "reflection")]
    pub fn reflection(mut self) -> Self {
        self.options.reflection = true;
        self
    }

    /// Holds requests to the rules of their protos before handlers see them: `buf.validate` ([protovalidate]), and
    /// `google.api.field_behavior = REQUIRED`. The default is not to.
    ///
    /// A request that breaks a rule ends with INVALID_ARGUMENT, whose details are a `google.rpc.BadRequest` with the first 16
    /// violations, or of a request of more than 16 KiB the first alone; see [`error_details`](crate::error_details). Of a
    /// stream, each message is held to the rules, and the handler reads the status as the stream's error.
    ///
    /// Rules are known by the descriptors that the generator embeds (`descriptors = true` in `wireloom.toml`). Serving fails
    /// with INVALID_ARGUMENT for a service without them, and for a rule that cannot be compiled. A call ends with INTERNAL where
    /// a rule cannot be evaluated for its request, such as by a division by zero.
    ///
    /// The feature `validation` needs `protoc` to build: in the path, or named by the variable `PROTOC`.
    ///
    /// [protovalidate]: https://protovalidate.com
    #[cfg(feature = "validation")]
    pub fn validation(mut self) -> Self {
        self.options.rules = Rules::Held;
        self
    }

    /// Leaves requests alone, whatever rules their protos have, as is the default, and says that this is meant: without it, a
    /// server of a service with such rules starts with a `warn` event. For rules that a proxy or the handlers hold requests to.
    pub fn without_validation(mut self) -> Self {
        self.options.rules = Rules::Left;
        self
    }

    /// Adds an encoded `google.protobuf.FileDescriptorSet` to what the server knows of its services and of their messages,
    /// for reflection and validation. Needed where the services' own descriptors are not embedded, and for messages
    /// that are only in some `google.protobuf.Any`. What is no such set, serving refuses with INVALID_ARGUMENT, and so it does, where
    /// requests are validated, for one that lacks what its files import, and of which no service has that either.
    ///
    /// A service is validated by what is embedded beside it, where files of another set have the same names. A `warn` event tells of
    /// a file of this set that is left out for it.
    #[cfg(any(feature = "reflection", feature = "validation"))]
    pub fn file_descriptor_set(mut self, set: &'static [u8]) -> Self {
        self.options.descriptor_sets.push(set);
        self
    }

    /// Compresses responses by the first of these that the client accepts (`grpc-accept-encoding`); by none where it accepts
    /// none. The default is none.
    ///
    /// Messages below the [`compression_threshold`](Self::compression_threshold), and those that would not become smaller,
    /// go as they are. A handler decides for one response by inserting a [`Compression`] into its extensions; what the
    /// client does not accept is not used then, either. A service that tonic generated compresses by itself.
    ///
    /// ```
    /// # #[cfg(all(feature = "gzip", feature = "zstd"))] {
    /// use wireloom::{Compression, Response, Server};
    ///
    /// let server = Server::builder().compression([Compression::Zstd, Compression::Gzip]);
    ///
    /// // In a handler, for a message that is compressed already:
    /// let mut response = Response::new(());
    /// response.extensions_mut().insert(Compression::Identity);
    /// # }
    /// ```
    pub fn compression(mut self, preferred: impl IntoIterator<Item = Compression>) -> Self {
        self.options.compression.preferred = preferred.into_iter().collect();
        self
    }

    /// The smallest response message that is compressed, in bytes as encoded. The default is 1024: what is smaller fits one
    /// packet as it is.
    pub fn compression_threshold(mut self, bytes: usize) -> Self {
        self.options.compression.threshold = bytes;
        self
    }

    /// Secures connections by TLS; a client in plaintext is not served then. The default is plaintext.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        if let Some(timeout) = tls.own_handshake_timeout() {
            self.options.tls_handshake_timeout = timeout;
        }
        self.options.tls = Some(tls);
        self
    }

    /// Finds out who calls by `authenticator`, after those that were added before it; see [`Authenticator`].
    ///
    /// Where no method of the server says who may call it, a server with an authenticator takes calls of
    /// [authenticated](Authorization::Authenticated) callers alone, but for those of health checks and reflection.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.options.authenticators.add(authenticator);
        self
    }

    /// Says who may call what is called `name`: a method (`helloworld.Greeter/SayHello`), or all methods of a service
    /// (`helloworld.Greeter`). It wins over what protos say, and a method's over its service's.
    ///
    /// Once anything says so, here or in a proto, nobody may call what nothing is said of: PERMISSION_DENIED, and a `warn`
    /// event lists such methods when the server starts. The services `grpc.health.v1.Health`,
    /// `grpc.reflection.v1.ServerReflection` and `grpc.reflection.v1alpha.ServerReflection` are
    /// [public](Authorization::Public) unless something else is said of them.
    ///
    /// A name that is not served, and what nobody could meet, such as scopes without an
    /// [authenticator](Self::authenticator), fail `serve` with INVALID_ARGUMENT.
    pub fn authorization(mut self, name: &str, authorization: Authorization) -> Self {
        let name = name.trim_start_matches('/').to_owned();
        self.options.authorizations.insert(name, authorization);
        self
    }

    /// Lets everyone call everything, whatever is declared, and asks no authenticator: for a server behind something that
    /// has checked its calls. Where something is declared to be for some, or there is an authenticator, a `warn` event says so when
    /// the server starts.
    pub fn unrestricted(mut self) -> Self {
        self.options.restriction = Restriction::Lifted;
        self
    }

    /// A server of this process alone, which is its only caller: nothing is asked of it, and nobody needs to be told.
    pub(crate) fn of_this_process(mut self) -> Self {
        self.options.restriction = Restriction::Needless;
        self.without_validation()
    }
}
