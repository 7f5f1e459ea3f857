//! Connections on which nothing arrives any more.

use std::future::IntoFuture as _;
use std::time::Duration;

use wireloom::Code;

use crate::load::{Load, Tally};
use crate::proxy::Link;
use crate::{LONG, SHORT, Setting, client, hanging, streaming, task, until};

#[tokio::test]
async fn calls_into_a_black_hole_end_at_their_deadlines_and_others_succeed_once_it_is_over() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    let calls = client.clone();
    let load = Load::start(8, SHORT, move || {
        calls.unary(task("a")).timeout(SHORT).into_future()
    });
    load.until_succeeded(50).await;
    setting.proxy.black_hole();
    load.until_failed(16).await;
    setting.proxy.link(Link::default());
    load.until_succeeded(50).await;
    let tally = load.stop().await;
    tally.assert_all(&[Code::Ok, Code::DeadlineExceeded]);
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_stream_in_a_black_hole_ends_at_its_deadline() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    let mut tally = Tally::default();
    let endless = streaming(u32::MAX, 1 << 10);
    let call = client.server_stream(endless).timeout(SHORT * 2);
    let mut outcomes = call.await.unwrap().into_inner();
    outcomes.message().await.unwrap().unwrap();
    setting.proxy.black_hole();
    let end = async {
        while outcomes.message().await?.is_some() {}
        Ok(())
    };
    let _ = tally.count(SHORT * 2, Box::pin(end)).await;
    tally.assert_all(&[Code::DeadlineExceeded]);
    drop((client, outcomes));
    setting.proxy.link(Link::default());
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_half_open_connection_fails_calls_at_their_deadlines_and_leaves_nothing() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).timeout(LONG).await.unwrap();
    setting.proxy.sever();
    let mut tally = Tally::default();
    for _ in 0..3 {
        let call = client.unary(task("a")).timeout(SHORT);
        let _ = tally.count(SHORT, call).await;
    }
    tally.assert_all(&[Code::DeadlineExceeded]);
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn keepalive_replaces_a_half_open_connection_long_before_the_deadlines() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let minute = Duration::from_secs(60);
    let client = client(&setting.proxy.target(), |builder| {
        builder
            .keepalive(Duration::from_secs(10))
            .keepalive_timeout(SHORT)
    });
    let calls: Vec<_> = (0..4)
        .map(|_| tokio::spawn(client.unary(hanging()).timeout(minute).into_future()))
        .collect();
    until(|| setting.server.calls() >= 4).await;
    setting.proxy.sever();
    let mut tally = Tally::default();
    // The wait for silence is not waited for.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    for call in calls {
        let _ = tally.count(LONG, async { call.await.unwrap() }).await;
    }
    tally.assert_all(&[Code::Unavailable]);
    client.unary(task("a")).timeout(LONG).await.unwrap();
    assert_eq!(setting.proxy.counts().accepted, 3);
    drop(client);
    setting.ends_with(before).await;
}
