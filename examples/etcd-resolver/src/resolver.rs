use std::{convert::Infallible, pin::pin, time::Duration};

use etcd_client::{Error, GetOptions, ResponseHeader, WatchOptions};
use tokio::time::{Instant, sleep_until};
use wireloom::{
    Status,
    resolver::{Resolver, ResolverUpdates},
};

use crate::{
    backoff::Backoff,
    etcd::{connect, timed},
    servers::Servers,
};

/// How long etcd may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The least time between two lists: connections fail more often than the servers change.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// The longest wait between two attempts to reach etcd.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Follows the servers that are registered below a key of etcd's.
#[derive(Clone, Debug)]
pub struct EtcdResolver {
    etcd: String,
    prefix: String,
}

impl EtcdResolver {
    /// The servers of `target`, in the etcd at the target `etcd`: those of `etcd:///services/greeter` have keys that begin
    /// with `services/greeter/`.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a target of another form.
    pub fn new(etcd: &str, target: &str) -> Result<Self, Status> {
        match target.strip_prefix("etcd:///") {
            Some(key) if !key.is_empty() => Ok(Self {
                etcd: etcd.to_owned(),
                prefix: format!("{}/", key.trim_end_matches('/')),
            }),
            _ => Err(Status::invalid_argument(format!(
                "{target:?} must be of the form etcd:///services/greeter"
            ))),
        }
    }
}

impl Resolver for EtcdResolver {
    async fn run(&self, updates: ResolverUpdates) {
        let mut backoff = Backoff::up_to(MAX_WAIT);
        loop {
            match self.follow(&updates, &mut backoff).await {
                Ok(never) => match never {},
                // The servers that are known stay in use.
                Err(error) => updates.send(Err(Status::unavailable(format!("etcd: {error}")))),
            }
            backoff.wait().await;
        }
    }
}

impl EtcdResolver {
    /// Sends the servers, and again with each change, until etcd is lost.
    async fn follow(
        &self,
        updates: &ResolverUpdates,
        backoff: &mut Backoff,
    ) -> Result<Infallible, Error> {
        let mut etcd = connect(&self.etcd).await?;
        loop {
            let listed = Instant::now();
            let all = Some(GetOptions::new().with_prefix());
            let list = timed(TIMEOUT, etcd.get(self.prefix.as_str(), all)).await?;
            let mut servers = Servers::default();
            servers.list(list.kvs());
            updates.send(Ok(servers.resolution().await));

            // From the revision after the list, so that no change is missed between the two.
            let revision = list.header().map_or(0, ResponseHeader::revision);
            let later = WatchOptions::new()
                .with_prefix()
                .with_start_revision(revision + 1);
            let watch = etcd.watch(self.prefix.as_str(), Some(later));
            let mut watch = timed(TIMEOUT, watch).await?;

            let mut list_again = pin!(async {
                updates.wanted().await;
                sleep_until(listed + MIN_INTERVAL).await;
            });
            loop {
                let changes = tokio::select! {
                    changes = watch.message() => changes?,
                    () = &mut list_again => break,
                };
                // etcd cancels a watch whose revisions it has no longer.
                let Some(changes) = changes.filter(|changes| !changes.canceled()) else {
                    return Err(Error::WatchError("etcd has ended the watch".into()));
                };
                backoff.reset();
                if servers.change(changes.events()) {
                    updates.send(Ok(servers.resolution().await));
                }
            }
        }
    }
}
