//! Names whose addresses DNS knows.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status};

use super::{Address, Resolution, Resolver, ResolverUpdates};
use crate::status;

/// The least time between two questions, where connections fail: an answer is rarely another before.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// Host names, as `L` finds their addresses.
#[derive(Debug)]
pub(crate) struct Dns<L = System> {
    /// Host and port of each, as the system takes them.
    pub(crate) hosts: Vec<String>,
    /// How long a question may take.
    pub(crate) timeout: Duration,
    /// How often to ask without a reason.
    pub(crate) refresh_interval: Duration,
    pub(crate) lookup: L,
}

/// Finds the addresses of a host.
pub(crate) trait Lookup: Send + Sync + 'static {
    fn lookup(
        &self,
        host: &str,
    ) -> impl Future<Output = io::Result<impl Iterator<Item = SocketAddr>>> + Send;
}

/// What the system's resolver finds: `/etc/hosts`, DNS, or whatever it is set up for.
#[derive(Debug)]
pub(crate) struct System;

impl Lookup for System {
    async fn lookup(&self, host: &str) -> io::Result<impl Iterator<Item = SocketAddr>> {
        tokio::net::lookup_host(host.to_owned()).await
    }
}

impl<L: Lookup> Dns<L> {
    /// Asks for all hosts; `found` keeps what was found before of a host that has no answer now.
    async fn resolve(&self, found: &mut [Vec<Address>]) -> Result<Resolution, Status> {
        let mut failed = None;
        let lookups = self.hosts.iter().map(|host| self.addresses_of(host));
        let answers = all_of(lookups.collect()).await;
        for ((host, found), answer) in self.hosts.iter().zip(&mut *found).zip(answers) {
            match answer {
                Ok(addresses) => *found = addresses,
                Err(status) if self.hosts.len() == 1 => failed = Some(status),
                Err(status) => {
                    let message = format!("{host}: {}", status.message());
                    failed = Some(status::with_message(&status, message));
                }
            }
        }
        match failed {
            Some(status) if found.iter().all(Vec::is_empty) => Err(status),
            _ => Ok(Resolution::new(found.iter().flatten().cloned())),
        }
    }

    async fn addresses_of(&self, host: &str) -> Result<Vec<Address>, Status> {
        match timeout(self.timeout, self.lookup.lookup(host)).await {
            Ok(Ok(found)) => Ok(found.map(Address::from).collect()),
            Ok(Err(error)) => {
                let message = error.to_string();
                Err(status::with_source(Code::Unavailable, message, error))
            }
            Err(_) => Err(Status::unavailable(format!(
                "no answer within {:?}",
                self.timeout
            ))),
        }
    }
}

/// Awaits all of them at once: a name that nobody answers for holds up none of the others.
async fn all_of<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(done) => *output = Some(done),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

impl<L: Lookup> Resolver for Dns<L> {
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
