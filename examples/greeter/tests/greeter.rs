//! Calls of a real server over a real socket.

use std::time::Duration;

use wireloom::server::Listener;
use wireloom::{Code, Server};

use greeter::proto::helloworld::{GreeterClient, GreeterServer, HelloRequest};
use greeter::service::{HelloGreeter, LATE_RISER};

/// A client of a server that lasts as long as the test.
async fn greeter() -> GreeterClient {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let server = Server::builder().add_service(GreeterServer::new(HelloGreeter));
    tokio::spawn(server.serve(listener));
    GreeterClient::connect(&target).await.unwrap()
}

fn hello(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
        think_ms: 0,
    }
}

#[tokio::test]
async fn one_person_is_greeted() {
    let reply = greeter().await.say_hello(hello("Ann")).await.unwrap();
    assert_eq!(reply.into_inner().message, "Hello, Ann!");
}

#[tokio::test]
async fn one_person_is_greeted_in_three_languages() {
    let replies = greeter().await.say_hello_stream(hello("Ann")).await;
    let mut replies = replies.unwrap().into_inner();
    let mut messages = Vec::new();
    while let Some(reply) = replies.message().await.unwrap() {
        messages.push(reply.message);
    }
    assert_eq!(messages, ["Hello, Ann!", "Hallo, Ann!", "Bonjour, Ann!"]);
}

#[tokio::test]
async fn all_who_are_named_are_recorded() {
    let requests = wireloom::tokio_stream::iter(["Ann", "Bob"].map(hello));
    let summary = greeter().await.record_hellos(requests).await.unwrap();
    let summary = summary.into_inner();
    assert_eq!(summary.count, 2);
    assert_eq!(summary.names, ["Ann", "Bob"]);
}

#[tokio::test]
async fn each_name_in_a_chat_is_answered() {
    let requests = wireloom::tokio_stream::iter(["Ann", "Bob"].map(hello));
    let replies = greeter().await.chat(requests).await;
    let mut replies = replies.unwrap().into_inner();
    for expected in ["Hello, Ann!", "Hello, Bob!"] {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.message, expected);
    }
    assert_eq!(replies.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let request = HelloRequest {
        think_ms: 60_000,
        ..hello("Ann")
    };
    let call = greeter().await.say_hello(request);
    let status = call.timeout(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_call_that_fails_twice_is_tried_again() {
    let greeter = greeter().await;
    let reply = greeter.say_hello(hello(LATE_RISER)).await.unwrap();
    assert_eq!(reply.into_inner().message, "Hello, Late Riser!");

    let status = greeter.say_hello(hello(LATE_RISER)).no_retry().await;
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
}
