//! The server's stack, outermost first: accept -> TLS -> HTTP/2 -> call span -> deadline and cancellation -> dispatch ->
//! handler.

mod body;
mod call;
mod connection;
mod encoding;
mod ending;
mod first_poll;
mod head;
mod intercepted;
mod listener;
mod options;
mod peer;
mod pieces;
mod router;
mod shutdown;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tonic")]
mod tower;

use std::{future::Future, sync::Arc};

use tonic::Status;

pub use self::body::{Reply, RequestBody};
pub use self::call::{Call, MessageStream};
pub use self::listener::{Listener, PeerAddr, Target};
pub use self::router::Service;
#[cfg(feature = "tonic")]
pub use self::tower::serve_tower;
use self::{connection::Connections, options::Options, router::Router};
use crate::memory::InProcess;

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
