//! The server's stack, outermost first: accept -> TLS -> HTTP/2 -> call span -> admission -> deadline and
//! cancellation -> authentication and authorization -> interceptors -> dispatch -> handler.

mod admission;
mod answer;
mod authorizer;
mod body;
mod call;
mod certificate;
mod connection;
mod connections;
mod encoding;
mod ended;
mod ending;
mod first_poll;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod guard;
mod head;
mod intercepted;
mod lifetime;
mod listener;
mod options;
mod peer;
mod pieces;
mod preface;
mod protection;
mod refusals;
mod respond;
mod router;
mod runtimes;
mod sending;
mod settings;
mod shutdown;
mod signals;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tonic")]
mod tower;
mod trailers;
mod watchdog;
mod web;

use std::{
    future::{Future, pending},
    pin::pin,
    sync::Arc,
};

use tokio::time::Instant;
use tonic::{Code, Status};

pub(crate) use self::admission::Reason as RefusalReason;
pub use self::admission::{AdaptiveLimit, Limits, Queue, RateLimit};
pub use self::body::{Reply, RequestBody};
pub use self::call::{Call, MessageStream};
pub use self::listener::{Listener, Listeners, PeerAddr, Target, UnixPeer, systemd};
pub use self::protection::Budget;
pub use self::router::Service;
pub use self::runtimes::Runtimes;
#[cfg(feature = "tonic")]
pub use self::tower::serve_tower;
pub use self::web::{HttpFuture, HttpService};
use self::{
    connections::{Connections, InProcessConnections, Shared},
    listener::systemd::Systemd,
    options::{Options, Rules},
    router::Router,
    signals::Signals,
};
use crate::{memory::InProcess, status};
/// The body of requests and responses that [`Server::layer`] sees.
pub use tonic::body::Body;

/// Serves gRPC over HTTP/2.
///
/// ```no_run
/// # struct Greeter;
/// # impl wireloom::server::Service for Greeter {
/// #     const NAME: &'static str = "helloworld.Greeter";
/// #     async fn call(&self, call: wireloom::server::Call) -> wireloom::server::Reply { call.unimplemented() }
/// # }
/// # async fn example(stop: impl std::future::Future<Output = ()>) -> Result<(), wireloom::Status> {
/// use std::time::Duration;
/// use wireloom::server::{Listener, Server};
///
/// let listener = Listener::bind("0.0.0.0:50051").await?;
/// let shutdown = Server::builder()
///     .shutdown_timeout(Duration::from_secs(10))
///     .add_service(Greeter)
///     .serve_with_shutdown(listener, stop)
///     .await?;
/// println!("{} calls were cut off", shutdown.cut_off_calls);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    router: Router,
    options: Options,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// The calls that had not ended within the shutdown timeout; each ended with UNAVAILABLE. Zero when all drained.
    pub cut_off_calls: usize,
}

/// What a server shuts down by.
struct Stop<F> {
    /// A signal's name, or who called.
    why: &'static str,
    /// Ready when it is not to wait any longer.
    cut_off: F,
}

impl Server {
    /// Starts a server without services.
    pub fn builder() -> Self {
        Self {
            router: Router::default(),
            options: Options::default(),
        }
    }

    /// Adds a service; one of the same name is replaced.
    pub fn add_service(mut self, service: impl Service) -> Self {
        self.router.add(service);
        self
    }

    /// Serves channels of this process, until they are gone: on the runtime of the channel, and without TLS.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for authorization that nobody could meet, and for limits that are not valid.
    pub(crate) fn into_process(self) -> Result<InProcess, Status> {
        let connections = InProcessConnections::new(self.shared(None)?);
        Ok(InProcess::new("in-process", Arc::new(connections)))
    }

    /// Serves until the process ends: connections of one [`Listener`], or of several (`[public, private]`).
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT without a listener, for TLS that cannot be had, for [limits](Self::limits) that are not valid, and for
    /// [authorization](Self::authorization) that nobody could meet;
    /// UNAVAILABLE where the system refuses the [`Runtimes`] that are asked for. All before anything is served; what fails for
    /// one connection ends that connection alone.
    pub async fn serve(self, listeners: impl Into<Listeners>) -> Result<Shutdown, Status> {
        self.serve_with_shutdown(listeners, pending()).await
    }

    /// Serves until the process gets SIGTERM or SIGINT (Ctrl-C), then shuts down as
    /// [`serve_with_shutdown`](Self::serve_with_shutdown) does. A second signal cuts off at once what has not ended by then.
    ///
    /// From its first call on, neither signal ends the process by itself any more, also after the server has ended.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve); UNAVAILABLE where the system does not let signals be listened to.
    pub async fn serve_until_signalled(
        self,
        listeners: impl Into<Listeners>,
    ) -> Result<Shutdown, Status> {
        let mut signals = Signals::listen().map_err(|error| {
            let message = format!("cannot listen to signals: {error}");
            status::with_source(Code::Unavailable, message, error)
        })?;
        let signalled = async {
            Stop {
                why: signals.next().await,
                cut_off: async move {
                    let by = signals.next().await;
                    tracing::info!(target: "wireloom", by, "cutting off what has not ended");
                },
            }
        };
        self.run(listeners.into(), signalled).await
    }

    /// Serves until `signal` is ready, then shuts down: says that its health is NOT_SERVING, goes on for the
    /// [`lame_duck_time`](Self::lame_duck_time), stops accepting, tells peers to go away, lets calls end within the
    /// [`shutdown_timeout`](Self::shutdown_timeout), and cuts off the rest.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        self,
        listeners: impl Into<Listeners>,
        signal: impl Future<Output = ()>,
    ) -> Result<Shutdown, Status> {
        let signalled = async {
            signal.await;
            Stop {
                why: "serve_with_shutdown",
                cut_off: pending(),
            }
        };
        self.run(listeners.into(), signalled).await
    }

    async fn run(
        self,
        listeners: Listeners,
        signal: impl Future<Output = Stop<impl Future<Output = ()>>>,
    ) -> Result<Shutdown, Status> {
        let Options {
            lame_duck_time,
            shutdown_timeout,
            ..
        } = self.options;
        let health = self.options.health.clone();
        settings::log(&self.options);
        if listeners.is_empty() {
            return Err(Status::invalid_argument(
                "there is nothing to listen on: a server needs one listener at least",
            ));
        }
        let systemd = Systemd::new(self.options.notifies_systemd);
        let connections = Connections::new(self.shared(Some(&listeners))?, &listeners)?;
        let siblings = connections.listen_beside(&listeners);
        listeners.iter().for_each(Listener::log);
        systemd.is_ready();
        let stop = tokio::select! {
            never = connections.accept_from(&listeners) => match never {},
            stop = signal => stop,
        };
        let began = Instant::now();
        tracing::info!(
            target: "wireloom",
            by = stop.why,
            ?lame_duck_time,
            ?shutdown_timeout,
            calls = connections.calls(),
            "shutting down"
        );
        let mut cut_off = pin!(stop.cut_off);
        systemd.is_stopping();
        if let Some(health) = health {
            health.shut_down();
        }
        let is_cut_off = tokio::select! {
            never = connections.accept_from(&listeners) => match never {},
            () = tokio::time::sleep(lame_duck_time) => false,
            () = &mut cut_off => true,
        };
        drop((listeners, siblings));
        let cut_off = async {
            if !is_cut_off {
                cut_off.await;
            }
        };
        let calls = connections.calls();
        let shutdown = connections.shut_down(shutdown_timeout, cut_off).await;
        let cut_off_calls = shutdown.cut_off_calls;
        tracing::info!(
            target: "wireloom",
            took = ?began.elapsed(),
            // Those that began in the meantime, before their peers heard, are not known.
            finished_calls = calls.saturating_sub(cut_off_calls),
            cut_off_calls,
            "shut down"
        );
        Ok(shutdown)
    }

    /// What connections of `listeners`, if there are any, share.
    fn shared(mut self, listeners: Option<&Listeners>) -> Result<Arc<Shared>, Status> {
        if let Some(health) = &self.options.health {
            self.router.tell_of_health(health);
        }
        match self.options.rules {
            Rules::Unsaid => self.router.tell_of_rules(),
            Rules::Left => {}
            #[cfg(feature = "validation")]
            Rules::Held => self.router.validate(&self.options.descriptor_sets)?,
        }
        #[cfg(feature = "reflection")]
        if self.options.reflection {
            self.router
                .tell_of_services(&self.options.descriptor_sets)?;
        }
        Shared::new(Arc::new(self.router), self.options, listeners).map(Arc::new)
    }
}
