//! Names whose addresses change.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use wireloom::resolver::{Resolution, Resolver, ResolverUpdates};
use wireloom::{Channel, ChannelBuilder, Code, LoadBalancing, Status};

use crate::load::{Load, Tally};
use crate::proto::probe::ProbeClient;
use crate::proxy::Proxy;
use crate::server::Server;
use crate::{LONG, SHORT, Setting, streaming, task};

/// What a name stands for; `None` fails.
#[derive(Clone)]
struct Name(Arc<watch::Sender<Option<Vec<SocketAddr>>>>);

impl Name {
    fn of(addresses: &[SocketAddr]) -> Self {
        Self(Arc::new(watch::Sender::new(Some(addresses.to_vec()))))
    }

    fn set(&self, addresses: Option<&[SocketAddr]>) {
        self.0.send_replace(addresses.map(<[_]>::to_vec));
    }

    fn client(&self, options: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> ProbeClient {
        let builder = Channel::builder("test:///name").resolver(self.clone());
        ProbeClient::new(options(builder).lazy().unwrap())
    }
}

impl Resolver for Name {
    async fn run(&self, updates: ResolverUpdates) {
        let mut addresses = self.0.subscribe();
        loop {
            let found = addresses.borrow_and_update().clone();
            updates.send(match found {
                Some(found) => Ok(Resolution::new(found.into_iter().map(Into::into))),
                None => Err(Status::unavailable("the resolver failed")),
            });
            if addresses.changed().await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn no_call_fails_while_a_name_moves_from_server_to_server() {
    for balancing in [LoadBalancing::default(), LoadBalancing::RoundRobin] {
        let setting = Setting::new().await;
        let other = Proxy::to(setting.server.address).await;
        let before = setting.holdings().await;
        let (first, second) = (setting.proxy.address(), other.address());
        let name = Name::of(&[first]);
        let client = name.client(|builder| builder.load_balancing(balancing.clone()));
        let calls = client.clone();
        let load = Load::start(8, LONG, move || {
            calls.unary(task("a")).timeout(LONG).into_future()
        });
        load.until_succeeded(50).await;
        let call = client.server_stream(streaming(500, 10_000)).timeout(LONG);
        let mut outcomes = call.await.unwrap().into_inner();
        for addresses in [&[first, second][..], &[second], &[first], &[second]] {
            name.set(Some(addresses));
            load.until_succeeded(100).await;
        }
        other.until(|counts| counts.open == 1).await;
        // Of the first server's there is only what the stream holds.
        let mut count = 0;
        while outcomes.message().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 500);
        setting.proxy.until(|counts| counts.open == 0).await;
        load.stop().await.assert_all(&[Code::Ok]);
        drop((client, name, outcomes));
        other.until(|counts| counts.open == 0).await;
        setting.ends_with(before).await;
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_any_more_keeps_its_addresses() {
    let setting = Setting::new().await;
    let name = Name::of(&[setting.proxy.address()]);
    let client = name.client(|builder| builder);
    client.unary(task("a")).timeout(LONG).await.unwrap();
    name.set(None);
    let mut tally = Tally::default();
    for _ in 0..5 {
        setting.proxy.cut();
        setting.proxy.until(|counts| counts.open == 0).await;
        // The channel may not know yet that the connection is lost.
        let call = client.retried(task("a")).timeout(LONG);
        let _ = tally.count(LONG, call).await;
    }
    tally.assert_all(&[Code::Ok]);
}

#[tokio::test]
async fn a_name_that_moves_away_from_a_dead_server_brings_the_calls_that_wait_with_it() {
    let dead = Server::start_apart().await;
    let proxy = Proxy::to(dead.address).await;
    proxy.black_hole();
    let live = Setting::new().await;
    let name = Name::of(&[proxy.address()]);
    let client = name.client(|builder| builder);
    let waiting = tokio::spawn(client.unary(task("a")).timeout(LONG).into_future());
    proxy.until(|counts| counts.open == 1).await;
    name.set(Some(&[live.proxy.address()]));
    waiting.await.unwrap().unwrap();
}

/// Finds nothing, ever.
struct Silent;

impl Resolver for Silent {
    async fn run(&self, _: ResolverUpdates) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_does_not_outlast_a_deadline() {
    let channel = Channel::builder("test:///name").resolver(Silent).lazy();
    let client = ProbeClient::new(channel.unwrap());
    let load = Load::start(4, SHORT, move || {
        client.unary(task("a")).timeout(SHORT).into_future()
    });
    load.until_failed(8).await;
    load.stop().await.assert_all(&[Code::DeadlineExceeded]);
}
