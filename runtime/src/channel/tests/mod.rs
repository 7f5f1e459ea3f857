//! Channels to several scripted peers, over memory, under a paused clock.

mod balancing;
mod breaker;
mod connecting;
mod dns;
mod health;
mod left_out;
mod life;
mod outliers;
mod pool;
mod recovering;
mod ring_hash;
mod runtimes;
mod slow_start;

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tonic::{Code, Status};
use wireloom_peer::{Act, Connect, Peer, Script};

use super::{
    Channel, ChannelBuilder, ConnectivityState, PickRequest,
    address::{Address, Transport},
    resolver::{Resolution, Resolver, ResolverUpdates},
};
use crate::{memory::InProcess, method::Method, policy::LoadBalancing};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");

/// Says which of these peers are a channel's addresses.
#[derive(Clone)]
struct Registry(Arc<watch::Sender<Vec<Arc<Peer>>>>);

impl Registry {
    fn of(peers: &[&Arc<Peer>]) -> Self {
        let registry = Self(Arc::default());
        registry.set(peers);
        registry
    }

    fn set(&self, peers: &[&Arc<Peer>]) {
        self.0
            .send_replace(peers.iter().map(|&peer| Arc::clone(peer)).collect());
    }

    fn channel(&self, options: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> Channel {
        let builder = Channel::builder("test:///peers").resolver(self.clone());
        options(builder).lazy().unwrap()
    }
}

impl Resolver for Registry {
    async fn run(&self, updates: ResolverUpdates) {
        let mut peers = self.0.subscribe();
        loop {
            let found = peers.borrow_and_update().clone();
            updates.send(Ok(Resolution::new(found.into_iter().map(scripted))));
            if peers.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The peer as an address.
fn scripted(peer: Arc<Peer>) -> Address {
    Address::of(Transport::InProcess(InProcess::new("scripted", peer)))
}

fn peers<const N: usize>() -> [Arc<Peer>; N] {
    std::array::from_fn(|_| Peer::new([]))
}

fn round_robin(builder: ChannelBuilder) -> ChannelBuilder {
    builder.load_balancing(LoadBalancing::RoundRobin)
}

async fn call(channel: &Channel) -> Result<String, Status> {
    let answer = channel.unary(&UNARY, "request".to_owned()).await;
    answer.map(tonic::Response::into_inner)
}

/// How many calls each peer has got.
fn counts<const N: usize>(peers: &[Arc<Peer>; N]) -> [usize; N] {
    peers.each_ref().map(|peer| peer.seen().len())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// A peer that makes nothing of its first connections.
fn connecting(connections: impl Into<Vec<Connect>>) -> Arc<Peer> {
    Peer::scripted(Script {
        connections: connections.into(),
        ..Script::default()
    })
}
