//! The client's side: a call of each kind, then what happens when the network or the server misbehaves.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;
use wireloom::Status;
use wireloom::tokio_stream::{self, wrappers::ReceiverStream};

use crate::proto::helloworld::{GreeterClient, HelloRequest};
use crate::service::LATE_RISER;

/// Makes all the calls, one after the other, and prints what comes back.
pub async fn make_all_calls(client: &GreeterClient) -> Result<(), Status> {
    unary(client).await?;
    server_streaming(client).await?;
    client_streaming(client).await?;
    bidirectional(client).await?;
    expired_deadline(client).await;
    retried_call(client).await
}

/// One request, one reply.
async fn unary(client: &GreeterClient) -> Result<(), Status> {
    let reply = client.say_hello(hello("Ann")).await?;
    println!("SayHello: {}", reply.into_inner().message);
    Ok(())
}

/// One request, many replies.
async fn server_streaming(client: &GreeterClient) -> Result<(), Status> {
    let mut replies = client.say_hello_stream(hello("Ann")).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        println!("SayHelloStream: {}", reply.message);
    }
    Ok(())
}

/// Many requests, one reply.
async fn client_streaming(client: &GreeterClient) -> Result<(), Status> {
    let requests = tokio_stream::iter(["Ann", "Bob", "Cleo"].map(hello));
    let summary = client.record_hellos(requests).await?.into_inner();
    println!(
        "RecordHellos: {} people: {}",
        summary.count,
        summary.names.join(", ")
    );
    Ok(())
}

/// Many requests, many replies: each reply is read before the next request is sent.
async fn bidirectional(client: &GreeterClient) -> Result<(), Status> {
    let (requests, outgoing) = mpsc::channel(1);
    let outgoing = ReceiverStream::new(outgoing);
    let mut replies = client.chat(outgoing).await?.into_inner();
    for name in ["Ann", "Bob", "Cleo"] {
        // Fails where the call has ended, and then the reply says how.
        let _ = requests.send(hello(name)).await;
        if let Some(reply) = replies.message().await? {
            println!("Chat: {}", reply.message);
        }
    }
    Ok(())
}

/// The server would think for five seconds; the call has a fifth of a second.
async fn expired_deadline(client: &GreeterClient) {
    let request = HelloRequest {
        think_ms: 5_000,
        ..hello("Ann")
    };
    println!("a call whose deadline expires:");
    let result = client
        .say_hello(request)
        .timeout(Duration::from_millis(200))
        .await;
    match result {
        Ok(reply) => println!("SayHello: {}", reply.into_inner().message),
        Err(status) => println!("{:?}: {}", status.code(), status.message()),
    }
}

/// The server turns down two attempts; the policy in the proto has the call tried again. Prints the call's trace: a
/// line for each span as it closes.
async fn retried_call(client: &GreeterClient) -> Result<(), Status> {
    println!("a call that is tried again, and its trace:");
    let trace = tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .set_default();
    let reply = client.say_hello(hello(LATE_RISER)).await?;
    drop(trace);
    println!("SayHello: {}", reply.into_inner().message);
    Ok(())
}

fn hello(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
        think_ms: 0,
    }
}
