//! A load, run by a client's process.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{Error, client::Client, message::Message};

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    Unary,
    /// A stream of so many messages to the server.
    Up(u32),
    /// A stream of so many messages to the client.
    Down(u32),
    /// A stream of so many messages each way.
    Both(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    pub call: Call,
    pub message: Message,
    /// Calls under way at any time.
    pub in_flight: usize,
    /// Over so many connections.
    pub connections: usize,
    /// Whether one handle spreads the calls over the connections, where the implementation has such.
    pub pooled: bool,
}

/// What one round of a load came to, on the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// Calls; for streams, messages.
    pub count: u64,
    pub elapsed: Duration,
    /// Of calls, or whole streams.
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
}

/// Latencies up to a minute, to within a percent.
fn histogram() -> Result<Histogram<u64>, Error> {
    Ok(Histogram::new_with_max(60_000_000_000, 2)?)
}

impl Load {
    /// The messages of one call, each way that it streams.
    fn messages_per_call(&self) -> u64 {
        match self.call {
            Call::Unary => 1,
            Call::Up(count) | Call::Down(count) | Call::Both(count) => u64::from(count),
        }
    }

    /// Runs for so long; every task ends the call that it is in, and makes one at least.
    pub async fn run<C: Client>(self, clients: &[C], duration: Duration) -> Result<Round, Error> {
        let copies = match self.call {
            Call::Down(count) => count,
            Call::Unary | Call::Up(_) | Call::Both(_) => 0,
        };
        let request = Arc::new(C::request(self.message, copies)?);
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for client in clients.iter().cycle().take(self.in_flight) {
            let (client, request) = (client.clone(), Arc::clone(&request));
            tasks.spawn(async move {
                let mut latencies = histogram()?;
                loop {
                    let sent = Instant::now();
                    self.call_once(&client, C::Request::clone(&request)).await?;
                    latencies.record(u64::try_from(sent.elapsed().as_nanos())?)?;
                    if start.elapsed() >= duration {
                        return Ok::<_, Error>(latencies);
                    }
                }
            });
        }
        let mut latencies = histogram()?;
        while let Some(task) = tasks.join_next().await {
            latencies.add(task??)?;
        }
        let quantile = |at| Duration::from_nanos(latencies.value_at_quantile(at));
        Ok(Round {
            count: latencies.len() * self.messages_per_call(),
            elapsed: start.elapsed(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
        })
    }

    async fn call_once<C: Client>(&self, client: &C, request: C::Request) -> Result<(), Error> {
        match self.call {
            Call::Unary => client.unary(request).await,
            Call::Up(count) => client.up(request, count).await,
            Call::Down(count) => check(client.down(request).await?, count),
            Call::Both(count) => check(client.both(request, count).await?, count),
        }
    }
}

fn check(received: u32, expected: u32) -> Result<(), Error> {
    match received == expected {
        true => Ok(()),
        false => Err(format!("{received} messages came, not {expected}").into()),
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Call::Unary => write!(f, "unary, {}", self.message)?,
            Call::Up(count) => write!(f, "{count} x {} up", self.message)?,
            Call::Down(count) => write!(f, "{count} x {} down", self.message)?,
            Call::Both(count) => write!(f, "{count} x {} both ways", self.message)?,
        }
        if self.call == Call::Unary {
            write!(f, ", {} in flight", self.in_flight)?;
            match self.pooled {
                true => write!(f, " over {} connections of one channel", self.connections)?,
                false if self.connections > 1 => {
                    write!(f, " over {} connections", self.connections)?;
                }
                false => {}
            }
        }
        Ok(())
    }
}
