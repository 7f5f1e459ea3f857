use tokio::net::TcpListener;
use wireloom::{
    MessageStream, Request, Response, Server, Status, Streaming,
    server::{Listener, Runtimes},
    tokio_stream::StreamExt as _,
};

use crate::{
    Error,
    contender::Flavor,
    proto::speed::{Echo, EchoServer, Payload},
};

struct Handler;

impl Echo for Handler {
    async fn unary(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn up(&self, requests: Request<Streaming<Payload>>) -> Result<Response<Payload>, Status> {
        let mut requests = requests.into_inner();
        let mut last = Payload::default();
        while let Some(request) = requests.message().await? {
            last = request;
        }
        Ok(Response::new(last))
    }

    async fn down(
        &self,
        request: Request<Payload>,
    ) -> Result<Response<impl MessageStream<Payload>>, Status> {
        let payload = request.into_inner();
        let copies = payload.copies as usize;
        let copies = std::iter::repeat_n(payload, copies);
        Ok(Response::new(tokio_stream::iter(copies).map(Ok)))
    }

    async fn both(
        &self,
        requests: Request<Streaming<Payload>>,
    ) -> Result<Response<impl MessageStream<Payload>>, Status> {
        Ok(Response::new(requests.into_inner()))
    }
}

pub async fn serve(listener: TcpListener, flavor: Flavor) -> Result<(), Error> {
    let runtimes = match flavor {
        Flavor::PerCore => Runtimes::PerCore,
        Flavor::MultiThread | Flavor::CurrentThread => Runtimes::Current,
    };
    Server::builder()
        .runtimes(runtimes)
        .add_service(EchoServer::new(Handler))
        .serve(Listener::from(listener))
        .await?;
    Ok(())
}
