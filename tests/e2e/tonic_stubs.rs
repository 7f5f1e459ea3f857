//! Code written for tonic: its handlers on our server, its clients on our channel.

use std::pin::Pin;
use std::time::Duration;

use wireloom::server::Listener;
use wireloom::tokio_stream::{self as stream, Stream, StreamExt as _};
use wireloom::tonic::{self, Code, Request, Response, Status, Streaming};
use wireloom::{CallOptions, Channel, Context, Server, ServiceConfig};
use wireloom_tests::golden::tonic::common::Id;
use wireloom_tests::golden::tonic::helloworld::greeter_client::GreeterClient;
use wireloom_tests::golden::tonic::helloworld::greeter_server::{Greeter, GreeterServer};
use wireloom_tests::golden::tonic::helloworld::{HelloRequest, hello_request::Nested};

struct Handler;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Greeter for Handler {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<Id>, Status> {
        let name = request.into_inner().name;
        match name.as_str() {
            "nobody" => Err(Status::not_found("nobody is there")),
            "late" => std::future::pending().await,
            "panic" => panic!("as told"),
            _ => Ok(Response::new(Id {
                value: format!("Hello, {name}!"),
            })),
        }
    }

    type SayHelloStreamStream = Answers<Nested>;

    async fn say_hello_stream(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHelloStreamStream>, Status> {
        let name = request.into_inner().name;
        Ok(Response::new(Box::pin(async_stream::stream! {
            yield Ok(Nested {});
            yield Ok(Nested {});
            // Tonic gathers what is ready at once.
            tokio::task::yield_now().await;
            match name.as_str() {
                "late" => std::future::pending().await,
                "panic" => panic!("as told"),
                _ => yield Err(Status::aborted("enough")),
            }
        })))
    }

    async fn record_hellos(
        &self,
        requests: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<()>, Status> {
        let names: Vec<_> = requests
            .into_inner()
            .map(|request| request.map(|r| r.name))
            .collect()
            .await;
        let names: Result<Vec<_>, Status> = names.into_iter().collect();
        assert_eq!(names?, ["a", "b"]);
        Ok(Response::new(()))
    }

    type ChatStream = Answers<String>;

    async fn chat(
        &self,
        requests: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let names = requests
            .into_inner()
            .map(|request| request.map(|request| request.name));
        Ok(Response::new(Box::pin(names)))
    }

    async fn r#match(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloRequest>, Status> {
        // The context is there for handlers of tonic's form too.
        let deadline = Context::current().deadline().is_some();
        Ok(request_back(request, &format!("deadline: {deadline}")))
    }

    async fn new_(&self, request: Request<HelloRequest>) -> Result<Response<HelloRequest>, Status> {
        Ok(request_back(request, "new"))
    }

    async fn send_compressed_(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloRequest>, Status> {
        Ok(request_back(request, "compressed"))
    }
}

fn request_back(request: Request<HelloRequest>, name: &str) -> Response<HelloRequest> {
    let mut response = Response::new(HelloRequest {
        name: name.to_owned(),
    });
    if let Some(value) = request.metadata().get("echo") {
        response.metadata_mut().insert("echo", value.clone());
    }
    // As a handler does that passes on what another server answered over HTTP/1.
    response
        .metadata_mut()
        .insert("connection", "close".parse().unwrap());
    response
}

async fn serve() -> GreeterClient<wireloom::Channel> {
    serve_by(Server::builder()).await
}

async fn serve_by(server: Server) -> GreeterClient<wireloom::Channel> {
    GreeterClient::connect(listen_by(server).await)
        .await
        .unwrap()
}

/// Serves, at the target that comes back.
async fn listen_by(server: Server) -> String {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    tokio::spawn(
        server
            .add_service(GreeterServer::new(Handler))
            .serve(listener),
    );
    target
}

fn request(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn interceptors_run_on_both_sides() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let service = GreeterServer::with_interceptor(Handler, |request: Request<()>| {
        match request.metadata().get("echo") {
            Some(_) => Ok(request),
            None => Err(Status::unauthenticated("say something")),
        }
    });
    tokio::spawn(Server::builder().add_service(service).serve(listener));

    let channel = wireloom::Channel::connect(&target).await.unwrap();
    let mut silent = GreeterClient::new(channel.clone());
    let status = silent.say_hello(request("a")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "say something")
    );

    let mut client = GreeterClient::with_interceptor(channel, |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("echo", "intercepted".parse().unwrap());
        Ok(request)
    });
    let response = client.new_(request("a")).await.unwrap();
    assert_eq!(response.metadata().get("echo").unwrap(), "intercepted");
}

#[tokio::test]
async fn a_status_crosses() {
    let status = serve()
        .await
        .say_hello(request("nobody"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "nobody is there")
    );
}

#[tokio::test]
async fn a_timeout_that_the_client_sets_bounds_the_call_on_both_sides() {
    let mut client = serve().await;
    let mut late = Request::new(request("late"));
    late.set_timeout(Duration::from_millis(100));
    assert_eq!(
        client.say_hello(late).await.unwrap_err().code(),
        Code::DeadlineExceeded
    );

    let mut bounded = Request::new(request("a"));
    bounded.set_timeout(Duration::from_secs(60));
    bounded
        .metadata_mut()
        .insert("echo", "spoken".parse().unwrap());
    let response = client.r#match(bounded).await.unwrap();
    assert_eq!(response.metadata().get("echo").unwrap(), "spoken");
    assert_eq!(response.into_inner().name, "deadline: true");
}

#[tokio::test]
async fn policies_are_those_of_the_channel() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let service = GreeterServer::new(Handler);
    tokio::spawn(Server::builder().add_service(service).serve(listener));

    let options = CallOptions::new().timeout(Duration::from_secs(3));
    let channel = Channel::builder(&target)
        .call_options(options)
        .lazy()
        .unwrap();
    let mut client = GreeterClient::new(channel.clone());
    let bounded = client.r#match(request("a")).await.unwrap();
    assert_eq!(bounded.into_inner().name, "deadline: true");

    let json = r#"{"methodConfig": [{"name": [{"service": "helloworld.Greeter", "method": "SayHello"}], "timeout": "0.2s"}]}"#;
    channel.set_service_config(ServiceConfig::from_json(json).unwrap());
    let started = std::time::Instant::now();
    let status = client.say_hello(request("late")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_panic_of_a_handler_is_internal_for_its_call_alone() {
    let mut client = serve().await;
    let status = client.say_hello(request("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the handler panicked");
    client.say_hello(request("a")).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_a_stream_is_internal_for_its_call_alone() {
    let mut client = serve().await;
    let answers = client.say_hello_stream(request("panic")).await.unwrap();
    let mut answers = answers.into_inner();
    for _ in 0..2 {
        assert!(answers.message().await.unwrap().is_some());
    }
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the handler panicked");

    // It asserts what it is told.
    let requests = stream::iter([request("not a")]);
    let status = client.record_hellos(requests).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the handler panicked");
    client.say_hello(request("a")).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_by_its_deadline_though_its_caller_goes_on_waiting() {
    let target = listen_by(Server::builder()).await;
    let address = target.strip_prefix("http://").unwrap();
    let io = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let head = http::Request::post(format!("{target}/helloworld.Greeter/SayHelloStream"))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "50m");
    let (response, mut body) = sender.send_request(head.body(()).unwrap(), false).unwrap();
    let late = bytes::Bytes::from_static(b"\0\0\0\0\x06\x0a\x04late");
    body.send_data(late, true).unwrap();
    let mut answers = response.await.unwrap().into_body();
    while let Some(data) = answers.data().await {
        data.unwrap();
    }
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
}

#[tokio::test]
async fn a_chat_may_begin_before_anything_is_said() {
    let mut client = serve().await;
    let (requests, queue) = tokio::sync::mpsc::channel(1);
    // As tonic's own server does, headers go out at once.
    #[allow(deprecated)]
    let chat = client
        .chat(stream::wrappers::ReceiverStream::new(queue))
        .await
        .unwrap();
    let mut names = chat.into_inner();
    requests.send(request("a")).await.unwrap();
    assert_eq!(names.message().await.unwrap().unwrap(), "a");
    drop(requests);
    assert_eq!(names.message().await.unwrap(), None);
}

#[tokio::test]
async fn the_server_s_limit_of_a_message_holds() {
    let mut client = serve_by(Server::builder().max_receive_message_size(100)).await;
    client.say_hello(request("a")).await.unwrap();
    let status = client
        .say_hello(request(&"a".repeat(200)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.message().contains("max_receive_message_size is 100"),
        "{status}"
    );

    let requests = stream::iter([request(&"b".repeat(200)), request("c")]);
    #[allow(deprecated)]
    let mut names = client.chat(requests).await.unwrap().into_inner();
    let status = names.message().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
}

#[tokio::test]
async fn the_server_s_limit_of_what_it_sends_holds() {
    let mut client = serve_by(Server::builder().max_send_message_size(100)).await;
    client.say_hello(request("a")).await.unwrap();
    let status = client
        .say_hello(request(&"a".repeat(200)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.message().contains("max_send_message_size is 100"),
        "{status}"
    );
}
