//! Thousands of calls that are cancelled.

use std::future::IntoFuture as _;
use std::time::Duration;

use async_stream::stream;
use wireloom::Code;

use crate::load::{Load, Tally};
use crate::proto::probe::ProbeClient;
use crate::proxy::Link;
use crate::{LONG, Setting, Task, distant, hanging, task};

const CALLS: usize = 10_000;

/// Cancels calls that the server is at work on.
async fn cancel_running(client: &ProbeClient, setting: &Setting) {
    for _ in 0..CALLS / 100 {
        let calls: Vec<_> = (0..100)
            .map(|_| tokio::spawn(client.unary(hanging()).timeout(LONG).into_future()))
            .collect();
        while setting.server.calls() < 100 {
            tokio::task::yield_now().await;
        }
        calls.iter().for_each(|call| call.abort());
        while setting.server.calls() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Cancels calls that the server gets together with their cancellation, hundreds of them at once.
async fn cancel_before_they_arrive(client: &ProbeClient, setting: &Setting) {
    for _ in 0..CALLS / 500 {
        setting.proxy.black_hole();
        let calls: Vec<_> = (0..500)
            .map(|_| tokio::spawn(client.unary(hanging()).timeout(LONG).into_future()))
            .collect();
        tokio::task::yield_now().await;
        for call in calls {
            call.abort();
            call.await.unwrap_err();
        }
        setting.proxy.link(Link::default());
        client.unary(task("a")).timeout(LONG).await.unwrap();
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
        while setting.server.ended_calls() < answered {
            tokio::task::yield_now().await;
        }
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
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    cancel_running(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_survives_ten_thousand_calls_that_are_cancelled_before_they_arrive() {
    let setting = Setting::new().await;
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
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    cancel_answered(&client, &setting).await;
    assert_survived(client, &setting).await;
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_connection_survives_thousands_of_uploads_that_the_server_ends() {
    let setting = Setting::new().await;
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
