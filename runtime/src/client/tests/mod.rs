//! The rules of a correct call, under a paused clock, against a scripted peer.

mod codes;
mod deadlines;
mod going_away;
mod hedging;
mod malformed;
mod metadata;
mod pushback;
mod retries;
mod streams;
mod transparent;

use std::{future::IntoFuture as _, time::Duration};

use h2::Reason;
use tokio::time::Instant;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};
use wireloom_peer::{Act, Connect, Last, Peer, Script, Step};

use super::{
    CallOptions,
    bounds::Bounds,
    scripted_peer::{Scripted as _, previous_attempts, settle, times, unavailable},
};
use crate::{
    channel::{Channel, ChannelBuilder},
    deadline::Deadline,
    method::{Method, MethodKind},
    policy::{HedgingPolicy, RetryPolicy, StatusCodes},
    service_config::ServiceConfig,
    streaming::Streaming,
};

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(10),
    backoff_multiplier: 2.0,
    retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static SERVER_STREAM: Method<String, String> = Method::server_streaming("/test.Test/ServerStream");
static CLIENT_STREAM: Method<String, String> = Method::client_streaming("/test.Test/ClientStream");
static BIDI: Method<String, String> = Method::bidi_streaming("/test.Test/Bidi");
static RETRIED: Method<String, String> =
    Method::unary("/test.Test/Retried").with_retry_policy(POLICY);
static RETRIED_STREAM: Method<String, String> =
    Method::client_streaming("/test.Test/RetriedStream").with_retry_policy(POLICY);

const KINDS: [MethodKind; 4] = [
    MethodKind::Unary,
    MethodKind::ServerStreaming,
    MethodKind::ClientStreaming,
    MethodKind::BidiStreaming,
];

/// What a service config says of methods that are retried as by [`POLICY`], and of those that are hedged.
const RETRY: &str = r#""retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "10s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
}"#;
const HEDGE: &str = r#""hedgingPolicy": {
    "maxAttempts": 3, "hedgingDelay": "0.1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
}"#;
const ONE_SECOND: &str = r#""timeout": "1s""#;

/// A channel's option: a service config that says this of every method.
fn saying(of_methods: &str) -> impl FnOnce(ChannelBuilder) -> ChannelBuilder {
    let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], {of_methods}}}]}}"#);
    let config = ServiceConfig::from_json(&json).unwrap();
    |builder| builder.service_config(config)
}

fn request() -> String {
    "request".to_owned()
}

/// How a call went, for its caller.
#[derive(Debug)]
struct Outcome {
    messages: Vec<String>,
    status: Status,
}

impl Outcome {
    fn code(&self) -> Code {
        self.status.code()
    }

    async fn of_stream(response: Result<Response<Streaming<String>>, Status>) -> Self {
        let mut messages = Vec::new();
        let mut stream = match response {
            Ok(response) => response.into_inner(),
            Err(status) => return Self { messages, status },
        };
        let status = loop {
            match stream.message().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break Status::ok(""),
                Err(status) => break status,
            }
        };
        Self { messages, status }
    }

    fn of_one(response: Result<Response<String>, Status>) -> Self {
        match response {
            Ok(response) => Self {
                messages: vec![response.into_inner()],
                status: Status::ok(""),
            },
            Err(status) => Self {
                messages: Vec::new(),
                status,
            },
        }
    }
}

/// Makes a call of one kind, with the request "request", or "one" and "two", and reads it to its end.
async fn call(channel: &Channel, kind: MethodKind) -> Outcome {
    let requests = stream::iter(["one", "two"].map(str::to_owned));
    match kind {
        MethodKind::Unary => Outcome::of_one(channel.unary(&UNARY, request()).await),
        MethodKind::ClientStreaming => {
            Outcome::of_one(channel.client_streaming(&CLIENT_STREAM, requests).await)
        }
        MethodKind::ServerStreaming => {
            Outcome::of_stream(channel.server_streaming(&SERVER_STREAM, request()).await).await
        }
        MethodKind::BidiStreaming => {
            Outcome::of_stream(channel.bidi_streaming(&BIDI, requests).await).await
        }
    }
}

/// What the peer has to have got of a call of this kind.
fn sent(kind: MethodKind) -> Vec<Vec<u8>> {
    let words = match kind {
        MethodKind::Unary | MethodKind::ServerStreaming => &["request"][..],
        MethodKind::ClientStreaming | MethodKind::BidiStreaming => &["one", "two"],
    };
    words.iter().map(|word| wireloom_peer::text(word)).collect()
}

fn connections(peer: &Peer) -> Vec<usize> {
    peer.seen().iter().map(|seen| seen.connection).collect()
}
