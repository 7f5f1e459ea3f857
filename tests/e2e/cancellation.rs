use std::future::IntoFuture as _;

use wireloom::tokio_stream::{self as stream, StreamExt as _};

use wireloom::Code;

use crate::support::{Event, PANIC, Setup, Task, TestServer, serve, task};

fn hanging(name: &str) -> Task {
    Task {
        hang: true,
        ..task(name)
    }
}

#[tokio::test]
async fn dropping_a_call_drops_its_handler_and_fires_the_token_of_work_it_moved_away() {
    let (mut server, client) = serve().await;
    let call = tokio::spawn(client.unary(hanging("a")).into_future());
    assert_eq!(server.event().await, Event::Started("a".into()));
    call.abort();
    assert_eq!(server.event().await, Event::Dropped("a".into()));
    assert_eq!(server.event().await, Event::TokenFired("a".into()));
}

#[tokio::test]
async fn dropping_a_stream_of_responses_drops_what_the_handler_streams() {
    let (mut server, client) = serve().await;
    let mut responses = client
        .server_stream(Task {
            count: 1,
            ..hanging("a")
        })
        .await
        .unwrap()
        .into_inner();
    responses.message().await.unwrap().unwrap();
    assert_eq!(server.event().await, Event::Started("a".into()));
    drop(responses);
    assert_eq!(server.event().await, Event::Dropped("a".into()));
}

#[tokio::test]
async fn dropping_a_bidirectional_call_drops_both_directions() {
    let (mut server, client) = serve().await;
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    let endless = stream::once(task("a"))
        .chain(stream::pending())
        .map(move |task| {
            let _ = &alive;
            task
        });
    let mut responses = client.bidi(endless).await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();
    assert_eq!(server.event().await, Event::Started("bidi".into()));
    drop(responses);
    assert_eq!(server.event().await, Event::Dropped("bidi".into()));
    // The caller's own stream is dropped with the call.
    dropped.await.unwrap_err();
}

#[tokio::test]
async fn rule_51_cancelling_a_call_cancels_the_calls_that_its_handler_makes() {
    let mut last = TestServer::start(Setup::default()).await;
    let mut first = TestServer::start(Setup {
        next_hop: Some(last.client().await),
        ..Setup::default()
    })
    .await;

    let handed_on = Task {
        hops: 1,
        ..hanging("a")
    };
    let call = tokio::spawn(first.client().await.unary(handed_on).into_future());
    assert_eq!(last.event().await, Event::Started("a".into()));
    call.abort();
    assert_eq!(last.event().await, Event::Dropped("a".into()));
    assert_eq!(first.event().await, Event::Started("a".into()));
    assert_eq!(first.event().await, Event::Dropped("a".into()));
}

#[tokio::test]
async fn a_call_that_ends_well_fires_no_token() {
    let (mut server, client) = serve().await;
    client.unary(task("well")).await.unwrap();
    client.unary(task("next")).await.unwrap();
    assert_eq!(server.event().await, Event::Started("well".into()));
    assert_eq!(server.event().await, Event::Started("next".into()));
}

#[tokio::test]
async fn a_panic_in_the_callers_stream_ends_the_call() {
    let (mut server, client) = serve().await;
    let panics = stream::iter(["a", "b"]).map(|name| match name {
        "a" => task(name),
        _ => panic!("as a test wants it"),
    });
    let status = client.client_stream(panics).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("panicked"), "{status}");
    assert_eq!(server.event().await, Event::Started("client stream".into()));
    assert_eq!(server.event().await, Event::Dropped("client stream".into()));
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_call_alone() {
    let (mut server, client) = serve().await;
    let status = client.unary(task(PANIC)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(server.event().await, Event::Started(PANIC.into()));
    assert_eq!(server.event().await, Event::Dropped(PANIC.into()));
    assert_eq!(server.event().await, Event::TokenFired(PANIC.into()));
    client.unary(task("next")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_serves_nobody_any_more() {
    let (mut server, client) = serve().await;
    let call = tokio::spawn(client.unary(hanging("a")).into_future());
    assert_eq!(server.event().await, Event::Started("a".into()));
    drop(server);
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
}
