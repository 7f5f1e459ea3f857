//! Code written for tonic, on stubs that `stubs = "tonic"` generated: it runs on Wireloom's channel and server.
//!
//! Between the two marks stands what a tonic project has, down to its imports.

// -- as written for tonic
use std::pin::Pin;

use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use helloworld::greeter_client::GreeterClient;
use helloworld::greeter_server::{Greeter, GreeterServer};
use helloworld::{HelloReply, HelloRequest};

#[derive(Debug, Default)]
struct MyGreeter;

fn hello(name: &str) -> HelloReply {
    HelloReply {
        message: format!("Hello {name}!"),
    }
}

#[tonic::async_trait]
impl Greeter for MyGreeter {
    type SayHelloStreamStream = ReceiverStream<Result<HelloReply, Status>>;
    type ChatStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("no name"));
        }
        Ok(Response::new(hello(&name)))
    }

    async fn say_hello_stream(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHelloStreamStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let name = request.into_inner().name;
        tokio::spawn(async move {
            for _ in 0..3 {
                let _ = sender.send(Ok(hello(&name))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn record_hellos(
        &self,
        request: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<HelloReply>, Status> {
        let mut requests = request.into_inner();
        let mut names = Vec::new();
        while let Some(request) = requests.message().await? {
            names.push(request.name);
        }
        Ok(Response::new(hello(&names.join(" and "))))
    }

    async fn chat(
        &self,
        request: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let replies = request
            .into_inner()
            .map(|request| request.map(|request| hello(&request.name)));
        Ok(Response::new(Box::pin(replies)))
    }
}

async fn client(address: String) -> Result<(), Box<dyn std::error::Error>> {
    let mut client = GreeterClient::connect(address).await?;
    let request = |name: &str| HelloRequest {
        name: name.to_owned(),
    };

    let reply = client.say_hello(Request::new(request("Tonic"))).await?;
    assert_eq!(reply.into_inner().message, "Hello Tonic!");

    let error = client.say_hello(request("")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
    assert_eq!(error.message(), "no name");

    let mut replies = client.say_hello_stream(request("you")).await?.into_inner();
    let mut count = 0;
    while let Some(reply) = replies.message().await? {
        assert_eq!(reply.message, "Hello you!");
        count += 1;
    }
    assert_eq!(count, 3);

    let names = tokio_stream::iter([request("A"), request("B")]);
    let reply = client.record_hellos(names).await?;
    assert_eq!(reply.into_inner().message, "Hello A and B!");

    let names = tokio_stream::iter([request("C"), request("D")]);
    let replies = client.chat(names).await?.into_inner();
    let replies: Vec<_> = replies
        .map(|reply| reply.map(|reply| reply.message))
        .collect()
        .await;
    let replies: Result<Vec<_>, _> = replies.into_iter().collect();
    assert_eq!(replies?, ["Hello C!", "Hello D!"]);
    Ok(())
}
// -- end

use wireloom::server::{Listener, Server};
use wireloom_tests::golden::tonic_four_kinds::helloworld;

#[tokio::test]
async fn code_written_for_tonic_runs_on_wireloom() {
    let listener = Listener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is TCP");
    let server = Server::builder().add_service(GreeterServer::new(MyGreeter));
    let server = tokio::spawn(server.serve(listener));
    client(format!("http://{address}"))
        .await
        .expect("every call succeeds");
    server.abort();
}
