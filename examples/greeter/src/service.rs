//! The server's side: what happens when a call comes in.

use std::time::Duration;

use wireloom::tokio_stream::{self, StreamExt};
use wireloom::{MessageStream, Request, Response, Status, Streaming};

use crate::proto::helloworld::{Greeter, HelloReply, HelloRequest, HelloSummary};

/// Whoever bears this name is greeted at the third attempt only: it shows what a retry policy is for.
pub const LATE_RISER: &str = "Late Riser";

/// Answers calls of `helloworld.Greeter`.
#[derive(Debug, Default)]
pub struct HelloGreeter;

impl Greeter for HelloGreeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        if request.get_ref().name == LATE_RISER && earlier_attempts(&request) < 2 {
            return Err(Status::unavailable("still asleep"));
        }
        let HelloRequest { name, think_ms } = request.into_inner();
        // When the caller's deadline passes, this future is dropped right here.
        tokio::time::sleep(Duration::from_millis(think_ms.into())).await;
        Ok(Response::new(hello(&name)))
    }

    async fn say_hello_stream(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<impl MessageStream<HelloReply>>, Status> {
        let name = request.into_inner().name;
        let replies = ["Hello", "Hallo", "Bonjour"].map(|hello| {
            Ok(HelloReply {
                message: format!("{hello}, {name}!"),
            })
        });
        Ok(Response::new(tokio_stream::iter(replies)))
    }

    async fn record_hellos(
        &self,
        requests: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<HelloSummary>, Status> {
        let mut requests = requests.into_inner();
        let mut summary = HelloSummary::default();
        while let Some(request) = requests.message().await? {
            summary.count += 1;
            summary.names.push(request.name);
        }
        Ok(Response::new(summary))
    }

    async fn chat(
        &self,
        requests: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<impl MessageStream<HelloReply>>, Status> {
        let replies = requests
            .into_inner()
            .map(|request| request.map(|request| hello(&request.name)));
        Ok(Response::new(replies))
    }
}

fn hello(name: &str) -> HelloReply {
    HelloReply {
        message: format!("Hello, {name}!"),
    }
}

/// How many attempts of this call came before, as the client says.
fn earlier_attempts<T>(request: &Request<T>) -> u32 {
    request
        .metadata()
        .get("grpc-previous-rpc-attempts")
        .and_then(|attempts| attempts.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
