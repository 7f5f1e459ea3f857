use tokio::net::TcpListener;
use tokio_stream::{StreamExt as _, iter};
use volo::net::incoming::DefaultIncoming;
use volo_grpc::{
    BoxStream, RecvStream, Request, Response, Status,
    server::{Server, ServiceBuilder},
};

use crate::{
    Error,
    volo_proto::{Echo, EchoServer, Payload},
};

struct Handler;

type Payloads = BoxStream<'static, Result<Payload, Status>>;

impl Echo for Handler {
    async fn unary(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn up(
        &self,
        requests: Request<RecvStream<Payload>>,
    ) -> Result<Response<Payload>, Status> {
        let mut requests = requests.into_inner();
        let mut last = Payload::default();
        while let Some(request) = requests.next().await {
            last = request?;
        }
        Ok(Response::new(last))
    }

    async fn down(&self, request: Request<Payload>) -> Result<Response<Payloads>, Status> {
        let payload = request.into_inner();
        let copies = payload.copies as usize;
        let copies = iter(std::iter::repeat_n(payload, copies)).map(Ok);
        Ok(Response::new(Box::pin(copies)))
    }

    async fn both(
        &self,
        requests: Request<RecvStream<Payload>>,
    ) -> Result<Response<Payloads>, Status> {
        Ok(Response::new(Box::pin(requests.into_inner())))
    }
}

pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let service = ServiceBuilder::new(EchoServer::new(Handler)).build();
    let served = Server::new()
        .add_service(service)
        .run(DefaultIncoming::from(listener))
        .await;
    served.map_err(|error| error.to_string().into())
}
