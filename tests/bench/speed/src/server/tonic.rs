use std::pin::Pin;

use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    Error,
    tonic_proto::{
        Payload,
        echo_server::{Echo, EchoServer},
    },
};

struct Handler;

type Payloads = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Handler {
    type DownStream = Payloads;
    type BothStream = Streaming<Payload>;

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

    async fn down(&self, request: Request<Payload>) -> Result<Response<Payloads>, Status> {
        let payload = request.into_inner();
        let copies = payload.copies as usize;
        let copies = tokio_stream::iter(std::iter::repeat_n(payload, copies)).map(Ok);
        Ok(Response::new(Box::pin(copies)))
    }

    async fn both(
        &self,
        requests: Request<Streaming<Payload>>,
    ) -> Result<Response<Streaming<Payload>>, Status> {
        Ok(Response::new(requests.into_inner()))
    }
}

pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    Server::builder()
        .add_service(EchoServer::new(Handler))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}
