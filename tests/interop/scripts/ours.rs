//! Our client.

use wireloom::metadata::{KeyAndValueRef, MetadataMap};
use wireloom::tokio_stream as stream;
use wireloom::{Channel, Method, MethodKind, Response, ServiceConfig, Status, Streaming};

use super::{cases::Case, outcome::Outcome};

static UNARY: Method<String, String> = Method::unary("/test.Test/Call");
static SERVER_STREAM: Method<String, String> = Method::server_streaming("/test.Test/Call");
static CLIENT_STREAM: Method<String, String> = Method::client_streaming("/test.Test/Call");
static BIDI: Method<String, String> = Method::bidi_streaming("/test.Test/Call");

/// Calls a method of this kind.
pub async fn call(case: &Case, kind: MethodKind) -> Outcome {
    let (peer, target) = case.peer().await;
    let config = ServiceConfig::from_json(&case.config()).unwrap();
    let channel = Channel::builder(&target).service_config(config);
    let channel = channel.lazy().unwrap();
    let timeout = case.timeout();
    let one = "one".to_owned();
    let two = stream::iter(["one", "two"].map(str::to_owned));
    let outcome = match kind {
        MethodKind::Unary => of_one(channel.unary(&UNARY, one).timeout(timeout).await),
        MethodKind::ClientStreaming => {
            let call = channel.client_streaming(&CLIENT_STREAM, two);
            of_one(call.timeout(timeout).await)
        }
        MethodKind::ServerStreaming => {
            let call = channel.server_streaming(&SERVER_STREAM, one);
            of_stream(call.timeout(timeout).await).await
        }
        MethodKind::BidiStreaming => {
            let call = channel.bidi_streaming(&BIDI, two);
            of_stream(call.timeout(timeout).await).await
        }
    };
    outcome.seen_by(&peer, case)
}

fn of_one(response: Result<Response<String>, Status>) -> Outcome {
    let mut outcome = Outcome::default();
    match response {
        Ok(response) => {
            add(response.metadata(), &mut outcome);
            outcome.messages.push(response.into_inner());
        }
        Err(status) => fail(&status, &mut outcome),
    }
    outcome
}

async fn of_stream(response: Result<Response<Streaming<String>>, Status>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(status) = read(response, &mut outcome).await {
        fail(&status, &mut outcome);
    }
    outcome
}

/// Reads a stream to its end.
async fn read(
    response: Result<Response<Streaming<String>>, Status>,
    outcome: &mut Outcome,
) -> Result<(), Status> {
    let response = response?;
    add(response.metadata(), outcome);
    let mut stream = response.into_inner();
    add(stream.metadata().await?, outcome);
    while let Some(message) = stream.message().await? {
        outcome.messages.push(message);
    }
    add(&stream.trailers().await?, outcome);
    Ok(())
}

fn fail(status: &Status, outcome: &mut Outcome) {
    outcome.code = status.code() as i32;
    outcome.message = status.message().to_owned();
    add(status.metadata(), outcome);
    if !status.details().is_empty() {
        let details = ("grpc-status-details-bin".to_owned(), hex(status.details()));
        outcome.metadata.insert(details);
    }
}

fn add(metadata: &MetadataMap, outcome: &mut Outcome) {
    let fields = metadata.iter().map(|field| match field {
        KeyAndValueRef::Ascii(key, value) => (key.to_string(), value.to_str().unwrap().to_owned()),
        KeyAndValueRef::Binary(key, value) => {
            (key.to_string(), hex(&value.to_bytes().unwrap_or_default()))
        }
    });
    outcome.metadata.extend(fields);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
