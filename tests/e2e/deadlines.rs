use std::time::Duration;

use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{Code, Deadline};

use crate::support::{Event, Setup, Task, TestServer, serve, task};

const SHORT: Duration = Duration::from_millis(150);

fn hanging(name: &str) -> Task {
    Task {
        hang: true,
        ..task(name)
    }
}

#[tokio::test]
async fn rule_49_an_expired_deadline_is_deadline_exceeded() {
    let (_server, client) = serve().await;
    let status = client.unary(hanging("a")).timeout(SHORT).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn rule_50_expiry_drops_the_handler_and_fires_the_token_of_work_it_moved_away() {
    let (mut server, client) = serve().await;
    client.unary(hanging("a")).timeout(SHORT).await.unwrap_err();
    assert_eq!(server.event().await, Event::Started("a".into()));
    assert_eq!(server.event().await, Event::Dropped("a".into()));
    assert_eq!(server.event().await, Event::TokenFired("a".into()));
}

#[tokio::test]
async fn rule_49_a_deadline_bounds_the_body_of_a_stream() {
    let (mut server, client) = serve().await;
    let call = client
        .server_stream(Task {
            count: 2,
            ..hanging("a")
        })
        .timeout(SHORT);
    let mut responses = call.await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();
    responses.message().await.unwrap().unwrap();
    assert_eq!(
        responses.message().await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    assert_eq!(server.event().await, Event::Started("a".into()));
    assert_eq!(server.event().await, Event::Dropped("a".into()));
}

#[tokio::test]
async fn rule_49_a_deadline_bounds_a_stream_of_requests_that_never_ends() {
    let (mut server, client) = serve().await;
    let endless = stream::once(task("a")).chain(stream::pending());
    let status = client
        .client_stream(endless)
        .timeout(SHORT)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(server.event().await, Event::Started("client stream".into()));
    assert_eq!(server.event().await, Event::Dropped("client stream".into()));
}

#[tokio::test]
async fn rule_47_a_deadline_already_past_sends_nothing() {
    let (mut server, client) = serve().await;
    let past = Deadline::after(Duration::ZERO);
    let status = client.unary(task("late")).deadline(past).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // The next call's event is the first that the server has.
    client.unary(task("next")).await.unwrap();
    assert_eq!(server.event().await, Event::Started("next".into()));
}

#[tokio::test]
async fn rule_51_a_deadline_crosses_three_hops_by_itself() {
    let last = TestServer::start(Setup::default()).await;
    let middle = TestServer::start(Setup {
        next_hop: Some(last.client().await),
        ..Setup::default()
    })
    .await;
    let first = TestServer::start(Setup {
        next_hop: Some(middle.client().await),
        ..Setup::default()
    })
    .await;

    let handed_on = Task {
        hops: 2,
        ..task("a")
    };
    let call = first
        .client()
        .await
        .unary(handed_on)
        .timeout(Duration::from_secs(60));
    let remaining = call.await.unwrap().into_inner().remaining_ms;
    assert!((1..=60_000).contains(&remaining), "{remaining}");
}

#[tokio::test]
async fn rule_51_when_the_first_callers_deadline_passes_every_hop_ends() {
    let mut last = TestServer::start(Setup::default()).await;
    let middle = TestServer::start(Setup {
        next_hop: Some(last.client().await),
        ..Setup::default()
    })
    .await;
    let first = TestServer::start(Setup {
        next_hop: Some(middle.client().await),
        ..Setup::default()
    })
    .await;

    let handed_on = Task {
        hops: 2,
        ..hanging("a")
    };
    let status = first
        .client()
        .await
        .unary(handed_on)
        .timeout(SHORT)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(last.event().await, Event::Started("a".into()));
    assert_eq!(last.event().await, Event::Dropped("a".into()));
}

#[tokio::test]
async fn a_unary_call_has_a_timeout_of_ten_seconds_unless_told_otherwise() {
    let (_server, client) = serve().await;
    let remaining = client
        .unary(task("a"))
        .await
        .unwrap()
        .into_inner()
        .remaining_ms;
    assert!((5_000..=10_000).contains(&remaining), "{remaining}");
    let unbounded = client.unary(task("a")).no_timeout().await.unwrap();
    assert_eq!(unbounded.into_inner().remaining_ms, 0);
}

#[tokio::test]
async fn a_timeout_in_the_metadata_is_the_calls_timeout() {
    let (_server, client) = serve().await;
    let mut request = wireloom::Request::new(hanging("a"));
    request.set_timeout(SHORT);
    assert_eq!(
        client.unary(request).await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
}

#[tokio::test]
async fn rule_49_a_deadline_bounds_a_stream_that_always_has_a_message() {
    let (_server, client) = serve().await;
    let endless = Task {
        count: u32::MAX,
        ..task("a")
    };
    let mut responses = client
        .server_stream(endless)
        .timeout(SHORT)
        .await
        .unwrap()
        .into_inner();
    let ended = loop {
        match responses.message().await {
            Ok(Some(_)) => tokio::task::yield_now().await,
            ended => break ended,
        }
    };
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn rule_50_expiry_ends_a_call_whose_caller_only_sends() {
    let (mut server, client) = serve().await;
    let endless = stream::once(task("a")).chain(stream::pending());
    let _unread = client.bidi(endless).timeout(SHORT).await.unwrap();
    assert_eq!(server.event().await, Event::Started("bidi".into()));
    assert_eq!(server.event().await, Event::Dropped("bidi".into()));
}
