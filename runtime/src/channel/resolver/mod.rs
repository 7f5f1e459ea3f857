//! What finds the servers of a channel's target.

mod dns;
mod fixed;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
};

use tokio::sync::Notify;
use tonic::Status;

#[cfg(test)]
pub(crate) use self::dns::Lookup;
pub(crate) use self::{
    dns::{Dns, System},
    fixed::Fixed,
};
pub use super::address::Address;
use super::core::Core;
use crate::service_config::{InvalidServiceConfig, ServiceConfig};

/// Finds the addresses of a channel's target, and follows their changes.
///
/// ```
/// use wireloom::{
///     Channel, Status,
///     resolver::{Address, Resolution, Resolver, ResolverUpdates},
/// };
///
/// /// Reads addresses from a file, again whenever a connection to one of them is lost.
/// struct File(std::path::PathBuf);
///
/// impl Resolver for File {
///     async fn run(&self, updates: ResolverUpdates) {
///         loop {
///             let text = std::fs::read_to_string(&self.0);
///             updates.send(match text {
///                 Ok(text) => Ok(Resolution::new(
///                     text.lines().filter_map(|line| line.parse().ok()).map(std::net::SocketAddr::into),
///                 )),
///                 Err(error) => Err(Status::unavailable(error.to_string())),
///             });
///             updates.wanted().await;
///         }
///     }
/// }
///
/// # fn example() -> Result<(), Status> {
/// let channel = Channel::builder("file:greeters").resolver(File("greeters".into())).lazy()?;
/// # Ok(())
/// # }
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// Runs for as long as the channel has use for addresses: from its first call to when it is dropped, or idle. It is
    /// dropped then; where it returns, what it said last holds.
    fn run(&self, updates: ResolverUpdates) -> impl Future<Output = ()> + Send;
}

/// What a [`Resolver`] has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resolution {
    /// The addresses, in the order of preference.
    pub addresses: Vec<Address>,
    /// The service config that came with them, or what is wrong with it ([gRFC A21]); `None` where none came.
    ///
    /// [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md
    pub service_config: Option<Result<ServiceConfig, InvalidServiceConfig>>,
}

impl Resolution {
    /// Addresses without a service config.
    pub fn new(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            service_config: None,
        }
    }
}

/// Where a [`Resolver`] tells its channel what it has found.
#[derive(Debug)]
pub struct ResolverUpdates {
    core: Weak<Core>,
    wanted: Arc<Notify>,
}

impl ResolverUpdates {
    pub(super) fn new(core: Weak<Core>, wanted: Arc<Notify>) -> Self {
        Self { core, wanted }
    }

    /// Takes what was found. After an error, or without any address, what was found before stays in use; where there is
    /// nothing yet, calls fail with UNAVAILABLE and the error's message, or wait if they
    /// [wait for ready](crate::CallOptions::wait_for_ready).
    pub fn send(&self, found: Result<Resolution, Status>) {
        if let Some(core) = self.core.upgrade() {
            core.resolved(found);
        }
    }

    /// Waits until the channel wants to know again, because a connection was lost or could not be made. A resolver that
    /// asks others should bound how often it does.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

/// [`Resolver`] without its type.
pub(super) trait ErasedResolver: Send + Sync {
    fn run(self: Arc<Self>, updates: ResolverUpdates) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<R: Resolver> ErasedResolver for R {
    fn run(self: Arc<Self>, updates: ResolverUpdates) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { Resolver::run(&*self, updates).await })
    }
}

impl fmt::Debug for dyn ErasedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
