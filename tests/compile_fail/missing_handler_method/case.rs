mod proto {
    include!("../../golden/four-kinds/expected/wireloom.rs");
}

use proto::helloworld::{Greeter, HelloReply, HelloRequest, RecordHellosReply};
use wireloom::{MessageStream, Request, Response, Status, Streaming, tokio_stream};

pub struct Handler;

impl Greeter for Handler {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello, {}!", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }

    async fn say_hello_stream(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<impl MessageStream<HelloReply>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn record_hellos(
        &self,
        _: Request<Streaming<HelloRequest>>,
    ) -> Result<Response<RecordHellosReply>, Status> {
        Ok(Response::new(RecordHellosReply { count: 0 }))
    }
}
