//! The server's stack, outermost first: accept -> TLS -> HTTP/2 -> call span -> deadline and cancellation -> dispatch ->
//! handler.

mod body;
mod call;
mod connection;
mod ending;
mod head;
mod intercepted;
mod listener;
mod peer;
mod pieces;
mod router;
mod shutdown;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tonic")]
mod tower;

use std::{future::Future, sync::Arc, time::Duration};

use tonic::Status;

pub use self::body::{Reply, RequestBody};
pub use self::call::{Call, MessageStream};
pub use self::listener::{Listener, PeerAddr, Target};
pub use self::router::Service;
#[cfg(feature = "tonic")]
pub use self::tower::serve_tower;
use self::{connection::Connections, router::Router};
use crate::{
    interceptor::{Interceptor, Interceptors},
    limits::MAX_RECEIVE_MESSAGE_SIZE,
    memory::InProcess,
};

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

#[derive(Clone, Debug)]
struct Options {
    interceptors: Interceptors,
    shutdown_timeout: Duration,
    max_receive_message_size: usize,
    max_concurrent_streams: u32,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::ServerTls>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// The calls that had not ended within the shutdown timeout; each ended with UNAVAILABLE. Zero when all drained.
    pub cut_off_calls: usize,
}

impl Server {
    /// Starts a server without services.
    pub fn builder() -> Self {
        let options = Options {
            interceptors: Interceptors::default(),
            shutdown_timeout: Duration::from_secs(30),
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_concurrent_streams: 1024,
            #[cfg(feature = "tls")]
            tls: None,
        };
        Self {
            router: Router::default(),
            options,
        }
    }

    /// Adds a service; one of the same name is replaced.
    pub fn add_service(mut self, service: impl Service) -> Self {
        self.router.add(service);
        self
    }

    /// Runs `interceptor` around every handler. The one that is added first is the outermost; see [`Interceptor`].
    ///
    /// [`Interceptor`]: crate::Interceptor
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.options.interceptors.add(interceptor);
        self
    }

    /// How long calls may go on once the server shuts down, before they are cut off with UNAVAILABLE. The default is
    /// 30 seconds; zero cuts them off at once.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.options.shutdown_timeout = timeout;
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

    /// The most calls that one connection may have under way. The default is 1024.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.options.max_concurrent_streams = streams;
        self
    }

    /// Secures connections by TLS; a client in plaintext is not served then. The default is plaintext.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// Serves channels of this process, until they are gone.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had.
    pub(crate) fn into_process(self) -> Result<InProcess, Status> {
        let connections = Connections::new(Arc::new(self.router), self.options)?;
        Ok(InProcess::new("in-process", Arc::new(connections)))
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had, before anything is served. What fails for one connection ends that
    /// connection alone.
    pub async fn serve(self, listener: Listener) -> Result<Shutdown, Status> {
        self.serve_with_shutdown(listener, std::future::pending())
            .await
    }

    /// Serves until `signal` is ready, then shuts down: stops accepting, tells peers to go away, lets calls end within
    /// the [`shutdown_timeout`](Self::shutdown_timeout), and cuts off the rest.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        self,
        listener: Listener,
        signal: impl Future<Output = ()>,
    ) -> Result<Shutdown, Status> {
        let shutdown_timeout = self.options.shutdown_timeout;
        let connections = Connections::new(Arc::new(self.router), self.options)?;
        tokio::select! {
            () = connections.accept_from(&listener) => {}
            () = signal => {}
        }
        drop(listener);
        Ok(connections.shut_down(shutdown_timeout).await)
    }
}
