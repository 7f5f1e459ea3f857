//! A server that is killed, and one that is replaced, while it has calls.

use std::future::IntoFuture as _;

use wireloom::Code;
use wireloom::tokio_stream::wrappers::ReceiverStream;

use crate::load::Load;
use crate::proxy::Proxy;
use crate::server::Server;
use crate::{LONG, Setting, client, task, until};

#[tokio::test]
async fn no_idempotent_call_fails_while_a_server_is_killed_and_started_again() {
    let mut server = Server::start_apart().await;
    let mut proxy = Proxy::to(server.address).await;
    let idempotent = client(&proxy.target(), |builder| builder);
    let load = Load::start(16, LONG, move || {
        idempotent.retried(task("a")).timeout(LONG).into_future()
    });
    for _ in 0..5 {
        load.until_succeeded(200).await;
        proxy.refuse().await;
        server.kill();
        proxy.until(|counts| counts.open == 0).await;
        server = Server::start_apart().await;
        proxy.lead_to(server.address);
        proxy.accept();
    }
    load.until_succeeded(200).await;
    load.stop().await.assert_all(&[Code::Ok]);
    assert_eq!(proxy.counts().accepted, 6);
}

#[tokio::test]
async fn a_call_that_is_not_retried_fails_as_unavailable_when_its_server_is_killed() {
    let server = Server::start_apart().await;
    let proxy = Proxy::to(server.address).await;
    let client = client(&proxy.target(), |builder| builder);
    let calls = client.clone();
    let load = Load::start(4, LONG, move || {
        calls.unary(crate::hanging()).timeout(LONG).into_future()
    });
    until(|| server.calls() >= 4).await;
    let replacement = Server::start_apart().await;
    proxy.lead_to(replacement.address);
    server.kill();
    load.until_failed(4).await;
    assert_eq!(load.tally().ended_with(Code::Unavailable), 4);
    client.unary(task("a")).timeout(LONG).await.unwrap();
}

#[tokio::test]
async fn no_call_at_all_fails_while_servers_hand_over() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    let load = Load::start(16, LONG, move || {
        client.unary(task("a")).timeout(LONG).into_future()
    });
    let Setting { mut server, proxy } = setting;
    for _ in 0..5 {
        load.until_succeeded(200).await;
        let next = Server::start(wireloom::Server::builder()).await;
        proxy.lead_to(next.address);
        let shutdown = std::mem::replace(&mut server, next).stop().await;
        assert_eq!(shutdown.cut_off_calls, 0);
    }
    load.until_succeeded(200).await;
    load.stop().await.assert_all(&[Code::Ok]);
    assert_eq!(proxy.counts().accepted, 7);
    Setting { server, proxy }.ends_with(before).await;
}

#[tokio::test]
async fn a_stream_goes_on_with_the_server_that_hands_over() {
    let Setting { server, proxy } = Setting::new().await;
    let client = client(&proxy.target(), |builder| builder);
    let (tasks, queue) = tokio::sync::mpsc::channel(1);
    let call = client.bidi(ReceiverStream::new(queue)).timeout(LONG);
    let mut outcomes = call.await.unwrap().into_inner();
    tasks.send(task("before")).await.unwrap();
    outcomes.message().await.unwrap().unwrap();

    let next = Server::start(wireloom::Server::builder()).await;
    proxy.lead_to(next.address);
    let old = tokio::spawn(server.stop());
    while proxy.counts().accepted == 1 {
        client.unary(task("other")).timeout(LONG).await.unwrap();
    }
    tasks.send(task("after")).await.unwrap();
    assert_eq!(outcomes.message().await.unwrap().unwrap().name, "after");
    drop(tasks);
    assert_eq!(outcomes.message().await.unwrap(), None);
    assert_eq!(old.await.unwrap().cut_off_calls, 0);
}
