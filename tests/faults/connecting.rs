//! Servers that refuse connections, or say nothing on them.

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use wireloom::Code;
use wireloom_peer::{Connect, Peer, Script};

use crate::load::{Load, Tally};
use crate::proxy::Link;
use crate::{LONG, SHORT, Setting, client, task};

/// Where all connections are accepted, and nothing is said.
async fn silent() -> String {
    let peer = Peer::scripted(Script {
        connections: vec![Connect::Stall; 1000],
        ..Script::default()
    });
    format!("http://{}", peer.listen().await.unwrap())
}

#[tokio::test]
async fn a_refused_connection_fails_calls_as_unavailable_at_once() {
    let mut setting = Setting::new().await;
    let before = setting.holdings().await;
    setting.proxy.refuse().await;
    let client = setting.client();
    let mut tally = Tally::default();
    for _ in 0..20 {
        let call = client.unary(task("a")).timeout(LONG);
        let status = tally.count(Duration::ZERO, call).await.unwrap_err();
        assert!(status.message().contains("refused"), "{status}");
    }
    tally.assert_all(&[Code::Unavailable]);
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_call_that_waits_for_ready_outlasts_a_refusal_or_ends_at_its_deadline() {
    let mut setting = Setting::new().await;
    let before = setting.holdings().await;
    setting.proxy.refuse().await;
    let client = setting.client();
    let mut tally = Tally::default();
    let call = client.unary(task("a")).wait_for_ready(true).timeout(SHORT);
    let _ = tally.count(SHORT, call).await;
    tally.assert_all(&[Code::DeadlineExceeded]);

    let call = client.unary(task("a")).wait_for_ready(true).timeout(LONG);
    let waiting = tokio::spawn(call.into_future());
    setting.proxy.accept();
    waiting.await.unwrap().unwrap();
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_fails_calls_within_the_time_to_connect() {
    let connect_timeout = SHORT;
    let client = client(&silent().await, |builder| {
        builder.connect_timeout(connect_timeout)
    });
    let mut tally = Tally::default();
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(client.unary(task("a")).timeout(LONG).into_future()))
        .collect();
    for call in calls {
        let call = async { call.await.unwrap() };
        let _ = tally.count(connect_timeout, Box::pin(call)).await;
    }
    tally.assert_all(&[Code::Unavailable]);
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_outlast_a_deadline() {
    let client = client(&silent().await, |builder| builder);
    let load = Load::start(10, SHORT, move || {
        client.unary(task("a")).timeout(SHORT).into_future()
    });
    load.until_failed(20).await;
    load.stop().await.assert_all(&[Code::DeadlineExceeded]);
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_fails_calls_as_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let _served = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (mut io, _) = listener.accept().await.unwrap();
            let _ = io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    }));
    let client = client(&target, |builder| builder);
    let mut tally = Tally::default();
    for _ in 0..3 {
        let _ = tally
            .count(LONG, client.unary(task("a")).timeout(LONG))
            .await;
    }
    tally.assert_all(&[Code::Unavailable]);
}

#[tokio::test]
async fn a_handshake_may_be_slow_but_not_slower_than_the_time_to_connect() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    setting.proxy.link(Link {
        latency: SHORT,
        ..Link::default()
    });
    let patient = setting.client();
    patient.unary(task("a")).timeout(LONG).await.unwrap();

    let hasty = client(&setting.proxy.target(), |builder| {
        builder.connect_timeout(SHORT / 2)
    });
    let mut tally = Tally::default();
    let _ = tally
        .count(SHORT / 2, hasty.unary(task("a")).timeout(LONG))
        .await;
    tally.assert_all(&[Code::Unavailable]);
    drop((patient, hasty));
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_lost_while_it_is_made_is_made_again() {
    let setting = Setting::new().await;
    setting.proxy.black_hole();
    let client = setting.client();
    let call = client.unary(task("a")).wait_for_ready(true).timeout(LONG);
    let waiting = tokio::spawn(call.into_future());
    setting.proxy.until(|counts| counts.open == 1).await;
    setting.proxy.reset();
    setting.proxy.link(Link::default());
    waiting.await.unwrap().unwrap();
}
