//! Limits of streams, and readers that stop.

use std::future::IntoFuture as _;

use wireloom::Code;
use wireloom::tokio_stream::{self as stream, StreamExt as _};

use crate::load::{Load, Tally};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::{LONG, Setting, client, hanging, streaming, task, until};

/// A setting whose server takes so many streams on a connection.
async fn limited(streams: u32) -> Setting {
    let server = wireloom::Server::builder().max_concurrent_streams(streams);
    let server = Server::start(server).await;
    let proxy = Proxy::to(server.address).await;
    Setting { server, proxy }
}

#[tokio::test]
async fn a_hundred_calls_at_a_time_take_turns_at_a_limit_of_one_stream() {
    for max_connections in [1, 4] {
        let setting = limited(1).await;
        let before = setting.holdings().await;
        let client = client(&setting.proxy.target(), |builder| {
            builder.max_connections(max_connections)
        });
        let load = Load::start(100, LONG, move || {
            client.unary(task("a")).timeout(LONG).into_future()
        });
        load.until_succeeded(1000).await;
        load.stop().await.assert_all(&[Code::Ok]);
        // One was for the holdings.
        let accepted = setting.proxy.counts().accepted;
        assert!(accepted <= max_connections + 1, "{accepted}");
        setting.ends_with(before).await;
    }
}

#[tokio::test]
async fn a_call_that_hangs_at_a_limit_of_one_stream_holds_up_the_others_no_longer_than_to_its_deadline()
 {
    let setting = limited(1).await;
    let before = setting.holdings().await;
    let client = client(&setting.proxy.target(), |builder| {
        builder.max_connections(1)
    });
    let mut tally = Tally::default();
    let hung = tokio::spawn(client.unary(hanging()).timeout(crate::SHORT).into_future());
    until(|| setting.server.calls() > 0).await;
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client.unary(task("a")).timeout(LONG).into_future()))
        .collect();
    let hung = async { hung.await.unwrap() };
    let _ = tally.count(crate::SHORT, Box::pin(hung)).await;
    assert_eq!(tally.ended_with(Code::DeadlineExceeded), 1);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn streams_that_nobody_reads_do_not_starve_the_others() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = client(&setting.proxy.target(), |builder| builder.connections(1));
    let mut unread = Vec::new();
    // Four megabytes each: twice the window.
    for _ in 0..7 {
        let call = client.server_stream(streaming(64, 64 << 10)).timeout(LONG);
        unread.push(call.await.unwrap().into_inner());
    }
    let calls = client.clone();
    let load = Load::start(4, LONG, move || {
        let large = task(&"x".repeat(100 << 10));
        calls.unary(large).timeout(LONG).into_future()
    });
    load.until_succeeded(100).await;
    load.stop().await.assert_all(&[Code::Ok]);
    for stream in unread {
        let outcomes: Vec<_> = stream.collect().await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            64
        );
    }
    assert_eq!(setting.proxy.counts().accepted, 2);
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn requests_that_a_handler_does_not_read_do_not_starve_the_others() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    let mut unread = Vec::new();
    for _ in 0..7 {
        let endless =
            stream::iter([hanging()]).chain(stream::iter(0..).map(|_| task(&"x".repeat(64 << 10))));
        unread.push(tokio::spawn(
            client.client_stream(endless).timeout(LONG).into_future(),
        ));
    }
    until(|| setting.server.calls() >= 7).await;
    let calls = client.clone();
    let load = Load::start(4, LONG, move || {
        let large = task(&"x".repeat(100 << 10));
        calls.unary(large).timeout(LONG).into_future()
    });
    load.until_succeeded(100).await;
    load.stop().await.assert_all(&[Code::Ok]);
    for call in unread {
        call.abort();
        let _ = call.await;
    }
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn small_windows_leave_room_for_hundreds_of_streams_that_nobody_reads() {
    let setting = Setting::new().await;
    let client = client(&setting.proxy.target(), |builder| {
        builder.stream_window_size(64 << 10)
    });
    let mut unread = Vec::new();
    for _ in 0..200 {
        let call = client.server_stream(streaming(8, 16 << 10)).timeout(LONG);
        unread.push(call.await.unwrap().into_inner());
    }
    for _ in 0..20 {
        client.unary(task("a")).timeout(LONG).await.unwrap();
    }
}
