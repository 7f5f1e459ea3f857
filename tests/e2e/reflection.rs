use tokio::sync::mpsc;
use wireloom::server::{Call, Listener, Reply, Service};
use wireloom::{Channel, Code, Server};

use crate::events::Events;
use crate::proto::grpc::reflection::v1::server_reflection_request::MessageRequest;
use crate::proto::grpc::reflection::v1::server_reflection_response::MessageResponse;
use crate::proto::grpc::reflection::v1::{ServerReflectionClient, ServerReflectionRequest};
use crate::support::{Setup, TestServer, serve};

fn services() -> ServerReflectionRequest {
    ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    }
}

#[tokio::test]
async fn reflection_lists_what_the_server_serves_and_holds_up_no_shutdown() {
    let server = Server::builder().reflection();
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let channel = Channel::connect(&server.target).await.unwrap();
    let (requests, stream) = mpsc::channel(1);
    requests.send(services()).await.unwrap();
    let call = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::wrappers::ReceiverStream::new(stream))
        .no_timeout();
    let mut answers = call.await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names = listed.service.iter().map(|service| service.name.as_str());
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "probe.Probe",
    ];
    assert!(names.eq(expected), "{listed:?}");
    // The stream is open, and waits for a request.
    assert_eq!(server.stopped().await.cut_off_calls, 0);
}

struct Bare;

impl Service for Bare {
    const NAME: &'static str = "test.Bare";

    async fn call(&self, call: Call) -> Reply {
        call.unimplemented()
    }
}

#[tokio::test]
async fn services_without_descriptors_are_warned_of() {
    let (events, _guard) = Events::listen();
    let listener = async || Listener::bind("127.0.0.1:0").await.unwrap();
    let server = || Server::builder().add_service(Bare).reflection();
    let served = server().serve_with_shutdown(listener().await, async {});
    served.await.unwrap();
    let warnings = events.with("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        "descriptors = true",
        "Server::file_descriptor_set",
        "services=\"test.Bare\"",
    ] {
        assert!(warnings[0].contains(part), "{part}: {warnings:?}");
    }
    // A file of that name with the package and the service.
    let declared = b"\x0a\x1a\x0a\x0abare.proto\x12\x04test\x32\x06\x0a\x04Bare";
    let server = server().file_descriptor_set(declared);
    let served = server.serve_with_shutdown(listener().await, async {});
    served.await.unwrap();
    assert_eq!(events.with("WARN"), [""; 0]);
}

#[tokio::test]
async fn a_server_that_was_not_asked_to_does_not_answer_reflection() {
    let (server, _) = serve().await;
    let channel = Channel::connect(&server.target).await.unwrap();
    let requests = tokio_stream::once(services());
    let call = ServerReflectionClient::new(channel).server_reflection_info(requests);
    let mut answers = call.await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn what_is_no_descriptor_set_is_refused_before_anything_is_served() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::builder()
        .file_descriptor_set(b"no descriptors")
        .reflection();
    let status = server.serve(listener).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
