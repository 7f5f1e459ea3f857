//! Thousands of calls that are cancelled.

use std::future::IntoFuture as _;
use std::time::Duration;

use async_stream::stream;
use tokio::task::JoinHandle;
use wireloom::{Channel, Code, Method, ServiceConfig};
use wireloom_peer::{Act, Peer};

use crate::going_away::{RETRY, UNARY};
use crate::load::{Load, Tally};
use crate::proto::probe::ProbeClient;
use crate::proxy::{Link, Proxy};
use crate::server::Server;
use crate::{LONG, Setting, Task, distant, hanging, task, until};

const CALLS: usize = 10_000;

/// A setting whose server takes as many calls of a connection as these tests make.
async fn roomy() -> Setting {
    let server = wireloom::Server::builder().max_concurrent_streams(1000);
    let server = Server::start(server).await;
    let proxy = Proxy::to(server.address).await;
    Setting { server, proxy }
}

/// Makes calls that are answered: a client that cancels all of its calls, thousands of them, is an attacker to the server
/// (`attacks/resets.rs`).
async fn call_as_well(client: &ProbeClient, calls: usize) {
    let calls: Vec<_> = (0..calls)
        .map(|_| tokio::spawn(client.unary(task("a")).timeout(LONG).into_future()))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// Cancels calls that the server is at work on.
async fn cancel_running(client: &ProbeClient, setting: &Setting) {
    for _ in 0..CALLS / 100 {
        let calls: Vec<_> = (0..100)
            .map(|_| tokio::spawn(client.unary(hanging()).timeout(LONG).into_future()))
            .collect();
        until(|| setting.server.calls() >= 100).await;
        calls.iter().for_each(|call| call.abort());
        until(|| setting.server.calls() == 0).await;
        call_as_well(client, 100).await;
    }
}

/// Cancels calls as soon as they have left: before, there would be nothing to say to the server.
async fn cancel_once_sent<T>(calls: impl Iterator<Item = JoinHandle<T>>) {
    let calls: Vec<_> = calls.collect();
    // A turn for each call, then for what writes them.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    for call in calls {
        call.abort();
        assert!(call.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// Cancels calls that the server gets together with their cancellation, hundreds of them at once.
async fn cancel_before_they_arrive(client: &ProbeClient, setting: &Setting) {
    for _ in 0..CALLS / 500 {
        setting.proxy.black_hole();
        let call = || client.unary(hanging()).timeout(LONG).into_future();
        cancel_once_sent((0..500).map(|_| tokio::spawn(call()))).await;
        setting.proxy.link(Link::default());
        call_as_well(client, 500).await;
    }
}

/// Cancels calls whose answers are on their way.
async fn cancel_answered(client: &ProbeClient, setting: &Setting) {
    setting.proxy.link(distant());
    for _ in 0..CALLS / 500 {
        let answered = setting.server.ended_calls() + 500;
        let calls: Vec<_> = (0..500)
            .map(|_| tokio::spawn(client.unary(task("a")).timeout(LONG).into_future()))
            .collect();
        until(|| setting.server.ended_calls() >= answered).await;
        for call in calls {
            assert!(!call.is_finished());
            call.abort();
        }
    }
    setting.proxy.link(Link::default());
}

/// Makes calls that the server ends while requests are on their way to it.
async fn send_to_the_end(client: &ProbeClient, setting: &Setting) {
    setting.proxy.link(distant());
    for _ in 0..5 {
        let calls: Vec<_> = (0..400)
            .map(|_| {
                let tasks = stream! {
                    yield Task { code: Code::Aborted.into(), ..task("a") };
                    loop {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        yield task("too late");
                    }
                };
                tokio::spawn(client.client_stream(tasks).timeout(LONG).into_future())
            })
            .collect();
        for call in calls {
            let status = call.await.unwrap().unwrap_err();
            assert_eq!(status.code(), Code::Aborted, "{status}");
        }
    }
    setting.proxy.link(Link::default());
}

/// Fails the test unless the one connection is still there, and calls on it succeed.
async fn assert_survived(client: ProbeClient, setting: &Setting) {
    let load = Load::start(4, LONG, move || {
        client.unary(task("a")).timeout(LONG).into_future()
    });
    load.until_succeeded(100).await;
    load.stop().await.assert_all(&[Code::Ok]);
    // One was for the holdings.
    assert_eq!(setting.proxy.counts().accepted, 2);
}

#[tokio::test]
async fn a_connection_survives_ten_thousand_cancelled_calls() {
    let setting = roomy().await;
    let before = setting.holdings().await;
    let client = setting.client();
    cancel_running(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_survives_ten_thousand_calls_that_are_cancelled_before_they_arrive() {
    let setting = roomy().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    cancel_before_they_arrive(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_survives_ten_thousand_calls_that_are_cancelled_while_their_answers_are_on_the_way()
 {
    let setting = roomy().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    cancel_answered(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_survives_thousands_of_uploads_that_the_server_ends() {
    let setting = roomy().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    send_to_the_end(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn calls_beside_those_that_are_cancelled_succeed() {
    let setting = Setting::new().await;
    let client = setting.client();
    let calls = client.clone();
    let load = Load::start(4, LONG, move || {
        calls.unary(task("a")).timeout(LONG).into_future()
    });
    let mut tally = Tally::default();
    while load.tally().succeeded() < 500 {
        let expired = client.unary(hanging()).timeout(Duration::from_millis(1));
        let _ = tally.count(crate::SHORT, expired).await;
    }
    tally.assert_all(&[Code::DeadlineExceeded]);
    load.stop().await.assert_all(&[Code::Ok]);
}

static STREAM: Method<String, String> = Method::server_streaming("/test.Test/Stream");

/// Servers of tonic have the limits of `h2` that the scripted peer has.
#[tokio::test]
async fn a_connection_to_a_server_with_h2_s_own_limits_survives_ten_thousand_cancelled_calls() {
    let peer = Peer::new(vec![Act::default().headers(); CALLS]);
    let target = format!("http://{}", peer.listen().await.unwrap());
    let channel = Channel::lazy(&target).unwrap();
    for _ in 0..CALLS / 100 {
        let call = || channel.server_streaming(&STREAM, String::new());
        let calls: Vec<_> = (0..100)
            .map(|_| tokio::spawn(call().timeout(LONG).into_future()))
            .collect();
        let mut streams = Vec::new();
        for call in calls {
            streams.push(call.await.unwrap().unwrap());
        }
    }
    let call = channel.unary(&UNARY, String::new()).timeout(LONG);
    call.await.unwrap();
    assert_eq!(peer.connections(), 1);
}

/// More than 20 cancelled calls at once are too many to such a server.
#[tokio::test]
async fn a_server_that_takes_cancelled_calls_for_an_attack_costs_no_call_that_is_retried() {
    let peer = Peer::new([]);
    let proxy = Proxy::to(peer.listen().await.unwrap()).await;
    let retry = ServiceConfig::from_json(RETRY).unwrap();
    let builder = Channel::builder(&proxy.target()).service_config(retry);
    let channel = builder.lazy().unwrap();
    let calls = channel.clone();
    let load = Load::start(4, LONG, move || {
        let call = calls.unary(&UNARY, String::new());
        call.timeout(LONG).into_future()
    });
    for _ in 0..100 {
        if proxy.counts().accepted >= 4 {
            break;
        }
        load.until_succeeded(20).await;
        proxy.black_hole();
        let call = || channel.unary(&UNARY, String::new()).into_future();
        cancel_once_sent((0..100).map(|_| tokio::spawn(call()))).await;
        proxy.link(Link::default());
    }
    load.until_succeeded(20).await;
    load.stop().await.assert_all(&[Code::Ok]);
    assert!(proxy.counts().accepted >= 4, "{:?}", proxy.counts());
}
