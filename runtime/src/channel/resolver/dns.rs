use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status};

use super::{Address, Resolution, Resolver, ResolverUpdates};
use crate::status;

/// The least time between two questions, where connections fail: an answer is rarely another before.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// Host names, as the system resolves them.
#[derive(Debug)]
pub(crate) struct Dns {
    /// Host and port of each, as the system takes them.
    pub(crate) hosts: Vec<String>,
    /// How long a question may take.
    pub(crate) timeout: Duration,
    /// How often to ask without a reason.
    pub(crate) refresh_interval: Duration,
}

impl Dns {
    /// Asks for all hosts; `found` keeps what was found before of a host that has no answer now.
    async fn resolve(&self, found: &mut [Vec<Address>]) -> Result<Resolution, Status> {
        let mut failed = None;
        for (host, found) in self.hosts.iter().zip(&mut *found) {
            match self.lookup(host).await {
                Ok(addresses) => *found = addresses.collect(),
                Err(status) => failed = Some(status),
            }
        }
        match failed {
            Some(status) if found.iter().all(Vec::is_empty) => Err(status),
            _ => Ok(Resolution::new(found.iter().flatten().cloned())),
        }
    }

    async fn lookup(&self, host: &str) -> Result<impl Iterator<Item = Address>, Status> {
        match timeout(self.timeout, tokio::net::lookup_host(host)).await {
            Ok(Ok(found)) => Ok(found.map(Address::from)),
            Ok(Err(error)) => {
                let message = format!("{host} has no address: {error}");
                Err(status::with_source(Code::Unavailable, message, error))
            }
            Err(_) => Err(Status::unavailable(format!(
                "no answer from DNS about {host} within {:?}",
                self.timeout
            ))),
        }
    }
}

impl Resolver for Dns {
    async fn run(&self, updates: ResolverUpdates) {
        let mut found = vec![Vec::new(); self.hosts.len()];
        loop {
            let asked = Instant::now();
            let resolved = self.resolve(&mut found).await;
            let failed = resolved.is_err();
            updates.send(resolved);
            if !failed {
                tokio::select! {
                    () = sleep_until(asked + self.refresh_interval) => {}
                    () = updates.wanted() => {}
                }
            }
            sleep_until(asked + MIN_INTERVAL).await;
        }
    }
}
