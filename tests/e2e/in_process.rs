//! Services in the process of their callers, under a paused clock: nothing here waits for a network.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use wireloom::server::PeerAddr;
use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{
    CallOptions, Channel, Code, ConnectivityState, InterceptedCall, Interceptor, Next, Response,
};
use wireloom::{Server, Status};

use crate::support::{Event, ProbeClient, Task, in_process, in_process_on, service, task};

#[tokio::test(start_paused = true)]
async fn all_kinds_of_calls_are_made() {
    let (channel, _events) = in_process();
    let client = ProbeClient::new(channel.lazy().unwrap());
    let response = client.unary(task("a")).metadata("echo", "spoken").await;
    let response = response.unwrap();
    assert_eq!(response.metadata().get("echo").unwrap(), "spoken");
    assert_eq!(response.get_ref().name, "a");

    let many = Task {
        count: 100,
        ..task("a")
    };
    let answers = client.server_stream(many).await.unwrap().into_inner();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 100);

    let tasks = || stream::iter((0..100).map(|i| task(&i.to_string())));
    let outcome = client.client_stream(tasks()).await.unwrap().into_inner();
    assert_eq!(outcome.index, 100);

    let answers = client.bidi(tasks()).await.unwrap().into_inner();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_retries_hold() {
    let (channel, _events) = in_process();
    let options = CallOptions::new().timeout(Duration::from_secs(60));
    let channel = channel.call_options(options).lazy().unwrap();
    let client = ProbeClient::new(channel);
    let left = client
        .unary(task("a"))
        .await
        .unwrap()
        .into_inner()
        .remaining_ms;
    assert!((59_000..=60_000).contains(&left), "{left}");

    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let start = tokio::time::Instant::now();
    let status = client.unary(hanging).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), Duration::from_secs(60));

    let failing = Task {
        code: Code::Unavailable as i32,
        failing_attempts: 2,
        ..task("b")
    };
    let outcome = client.retried(failing).await.unwrap().into_inner();
    assert_eq!(outcome.previous_attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_ends_its_handler() {
    let (channel, mut events) = in_process();
    let client = ProbeClient::new(channel.lazy().unwrap());
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = tokio::time::timeout(Duration::from_secs(1), client.unary(hanging));
    call.await.unwrap_err();
    assert_eq!(events.recv().await, Some(Event::Started("a".into())));
    assert_eq!(events.recv().await, Some(Event::Dropped("a".into())));
}

/// Lives as long as its server.
struct Held(#[expect(dead_code)] Arc<()>);

impl Interceptor for Held {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        next.run(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_outlives_its_channel_and_the_server_ends_after_it() {
    let held = Arc::new(());
    let server = Server::builder().interceptor(Held(Arc::clone(&held)));
    let (channel, _events) = in_process_on(server);
    let client = ProbeClient::new(channel.lazy().unwrap());
    let many = Task {
        count: 3,
        ..task("a")
    };
    let answers = client.server_stream(many).await.unwrap().into_inner();
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&held), 2);
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_alone_makes_a_channel() {
    let client = ProbeClient::new(Channel::from_service(service().0));
    assert_eq!(client.unary(task("a")).await.unwrap().get_ref().name, "a");
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_both_sides_hold() {
    let large = || task(&"x".repeat(100));
    let (channel, _events) = in_process();
    let client = ProbeClient::new(channel.max_receive_message_size(10).lazy().unwrap());
    let received = client.unary(large()).await.unwrap_err();
    let server = Server::builder().max_receive_message_size(10);
    let (channel, _events) = in_process_on(server);
    let client = ProbeClient::new(channel.lazy().unwrap());
    let sent = client.unary(large()).await.unwrap_err();
    assert_eq!([received.code(), sent.code()], [Code::ResourceExhausted; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_channel_reaches_its_service_again() {
    let (channel, _events) = in_process();
    let channel = channel.idle_timeout(Duration::from_secs(1)).lazy().unwrap();
    let client = ProbeClient::new(channel.clone());
    client.unary(task("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    client.unary(task("b")).await.unwrap();
}

#[test]
fn a_channel_outlives_the_runtimes_that_it_was_used_on() {
    let (channel, _events) = in_process();
    let client = ProbeClient::new(channel.lazy().unwrap());
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let call = client.unary(task("a")).timeout(Duration::from_secs(20));
        runtime.block_on(call.into_future()).unwrap();
    }
}

/// Refuses calls from outside.
struct Inside;

impl Interceptor for Inside {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        match call.extensions().get() {
            Some(PeerAddr::InProcess) => next.run(call).await,
            peer => Err(Status::permission_denied(format!("{peer:?}"))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_s_own_options_hold() {
    let server = Server::builder().interceptor(Inside);
    let channel = Channel::in_process(server).lazy().unwrap();
    let status = ProbeClient::new(channel).unary(task("a")).await;
    // It came as far as the services, of which there are none.
    assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
}
