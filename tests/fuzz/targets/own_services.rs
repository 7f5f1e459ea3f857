//! Requests to the services that a server has of its own, health and reflection. The first byte of the input says to which;
//! each message is behind its length, in a byte.

#![no_main]

use bytes::{Bytes, BytesMut};
use http::{Request, Version, header};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::runtime::Builder;
use tower_service::Service as _;
use wireloom::{
    Code, Compression, Server,
    fuzzing::{read_messages, write_message},
};

const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
const HEALTH: [&str; 2] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
];

/// What a test looks at of `ServerReflectionResponse`.
#[derive(Clone, PartialEq, Message)]
struct Reflected {
    #[prost(message, optional, tag = "4")]
    files: Option<Files>,
    #[prost(message, optional, tag = "7")]
    error: Option<Error>,
}

#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Error {
    #[prost(int32, tag = "1")]
    code: i32,
}

fuzz_target!(|input: &[u8]| {
    let Some((service, rest)) = input.split_first() else {
        return;
    };
    let is_health = service & 2 == 2;
    let services = if is_health { HEALTH } else { REFLECTION };
    let messages = messages(rest);
    let (code, answers) = ask(services[usize::from(service & 1)], &messages);
    if is_health {
        assert!(answers.len() <= 1);
        assert_eq!(answers.len() == 1, code == Code::Ok);
        return;
    }
    // Each question has an answer, up to one that is no message.
    assert!(matches!(code, Code::Ok | Code::Internal), "{code:?}");
    assert!(answers.len() <= messages.len());
    assert!(code != Code::Ok || answers.len() == messages.len());
    for answer in answers {
        let Reflected { files, error } = Reflected::decode(answer).expect("it is a message");
        for file in files.unwrap_or_default().files {
            FileDescriptorProto::decode(&*file).expect("it is a file");
        }
        let code = error.map_or(Code::NotFound, |error| Code::from_i32(error.code));
        assert!(matches!(
            code,
            Code::NotFound | Code::InvalidArgument | Code::Unimplemented
        ));
    }
});

fn messages(mut input: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((len, rest)) = input.split_first() {
        let (message, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        messages.push(message);
        input = rest;
    }
    messages
}

/// How a call with these requests ends, and with which responses.
fn ask(path: &str, messages: &[&[u8]]) -> (Code, Vec<Bytes>) {
    let identity = Compression::Identity;
    let mut body = BytesMut::new();
    for message in messages {
        body.extend(write_message(message, identity).expect("it is small"));
    }
    let request = Request::post(path)
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(Full::new(body.freeze()));
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("there is room for a runtime");
    runtime.block_on(async {
        let service = Server::builder().reflection().into_service();
        let mut service = service.expect("the server is valid");
        let Ok(response) = service.call(request.expect("it is a request")).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the body does not fail");
        let fields = body.trailers().unwrap_or(&head.headers);
        let code = Code::from_bytes(fields["grpc-status"].as_bytes());
        let data = std::iter::once(body.to_bytes());
        let (answers, ended) = read_messages(data, usize::MAX, identity);
        ended.expect("the frames are whole");
        (code, answers)
    })
}
