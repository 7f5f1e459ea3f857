use std::{convert::Infallible, future::Future, time::Duration};

use etcd_client::{Error, PutOptions};
use tokio::time::sleep;

use crate::{
    backoff::Backoff,
    entry::Entry,
    etcd::{connect, timed},
};

/// A server's place in etcd.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The target of etcd.
    pub etcd: String,
    /// The server's key, below the service's: `services/greeter/1`.
    pub key: String,
    /// Where the server is.
    pub server: Entry,
    /// How long etcd keeps the server after it last heard of it. etcd takes whole seconds, and not fewer than 2 by default.
    pub ttl: Duration,
}

impl Registration {
    /// Keeps the server registered until `end`, and takes it out then. Where this is dropped instead, or the process ends, etcd
    /// forgets the server once its time to live has passed.
    pub async fn keep_until(&self, end: impl Future<Output = ()>) {
        let mut lease = None;
        tokio::select! {
            () = end => {}
            never = self.keep(&mut lease) => match never {},
        }
        // The lease, not the key: that may by now belong to a successor.
        if let Some(lease) = lease
            && let Err(error) = timed(self.ttl, self.revoke(lease)).await
        {
            tracing::warn!(key = self.key, %error, "the server stays registered until its lease expires");
        }
    }

    async fn keep(&self, lease: &mut Option<i64>) -> Infallible {
        // When etcd is back, it waits a time to live for the servers that it knew.
        let mut backoff = Backoff::up_to(self.ttl / 3);
        loop {
            if let Err(error) = self.register(lease, &mut backoff).await {
                tracing::warn!(key = self.key, %error, "the server is not registered");
            }
            backoff.wait().await;
        }
    }

    /// Registers the server, and keeps it alive until that fails.
    async fn register(&self, lease: &mut Option<i64>, backoff: &mut Backoff) -> Result<(), Error> {
        let mut etcd = connect(&self.etcd).await?;
        let ttl = i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX);
        let id = timed(self.ttl, etcd.lease_grant(ttl, None)).await?.id();
        *lease = Some(id);
        let with_lease = Some(PutOptions::new().with_lease(id));
        let put = etcd.put(self.key.as_str(), self.server.write(), with_lease);
        timed(self.ttl, put).await?;
        let (mut keeper, mut answers) = timed(self.ttl, etcd.lease_keep_alive(id)).await?;
        loop {
            keeper.keep_alive().await?;
            match timed(self.ttl, answers.message()).await? {
                Some(answer) if answer.ttl() > 0 => backoff.reset(),
                _ => return Err(Error::LeaseKeepAliveError("the lease has expired".into())),
            }
            sleep(self.ttl / 3).await;
        }
    }

    async fn revoke(&self, lease: i64) -> Result<(), Error> {
        connect(&self.etcd).await?.lease_revoke(lease).await?;
        Ok(())
    }
}
