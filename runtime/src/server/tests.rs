//! Servers on a socket of this machine.

use std::future::Future;

use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};

use super::{Call, Listener, Reply, Server, Service};
use crate::{channel::Channel, method::Method, streaming::Streaming};

static UP: Method<String, String> = Method::client_streaming("/test.Test/Up");

/// A service that is a function.
struct Serve<F>(F);

impl<F, Answer> Service for Serve<F>
where
    F: Fn(Call) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Reply> + Send,
{
    const NAME: &'static str = "test.Test";

    async fn call(&self, call: Call) -> Reply {
        (self.0)(call).await
    }
}

/// Serves by `server`, at the target that comes back.
async fn listen(server: Server) -> String {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    tokio::spawn(server.serve(listener));
    target
}

/// A channel to `server`.
async fn serve(server: Server) -> Channel {
    Channel::connect(&listen(server).await).await.unwrap()
}

#[tokio::test]
async fn a_stream_of_requests_ends_after_a_message_over_the_limit() {
    /// Says what came, up to ten items: a stream that does not end yields more for ever.
    async fn read(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
        let code = |item: Result<String, Status>| item.map_or_else(|e| e.code(), |_| Code::Ok);
        let codes: Vec<_> = request.into_inner().map(code).take(10).collect().await;
        Ok(Response::new(format!("{codes:?}")))
    }
    let server = Server::builder()
        .max_receive_message_size(8)
        .add_service(Serve(|call: Call| call.client_streaming(&UP, read)));
    let requests = stream::iter(["one", "far too long", "two"].map(str::to_owned));
    let call = serve(server).await.client_streaming(&UP, requests);
    assert_eq!(call.await.unwrap().into_inner(), "[Ok, ResourceExhausted]");
}
