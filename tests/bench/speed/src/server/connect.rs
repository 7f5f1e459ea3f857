use std::sync::Arc;

use connectrpc::{
    Encodable, InboundStream, RequestContext, Response, Router, Server, ServiceRequest,
    ServiceResult, ServiceStream,
};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;

use crate::{
    Error,
    connect_proto::{Echo, Payload},
};

struct Handler;

impl Echo for Handler {
    async fn unary<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, Payload>,
    ) -> ServiceResult<impl Encodable<Payload> + Send + use<'a>> {
        Response::ok(request.to_owned_message())
    }

    async fn up<'a>(
        &'a self,
        _: RequestContext,
        mut requests: InboundStream<Payload>,
    ) -> ServiceResult<impl Encodable<Payload> + Send + use<'a>> {
        let mut last = Payload::default();
        while let Some(request) = requests.next().await {
            last = request?.to_owned_message();
        }
        Response::ok(last)
    }

    async fn down(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, Payload>,
    ) -> ServiceResult<ServiceStream<impl Encodable<Payload> + Send + use<>>> {
        let payload = request.to_owned_message();
        let copies = payload.copies as usize;
        let copies = std::iter::repeat_n(payload, copies);
        Response::stream_ok(tokio_stream::iter(copies).map(Ok))
    }

    async fn both(
        &self,
        _: RequestContext,
        requests: InboundStream<Payload>,
    ) -> ServiceResult<ServiceStream<impl Encodable<Payload> + Send + use<>>> {
        Response::stream_ok(requests.map(|request| Ok(request?.to_owned_message())))
    }
}

pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let router = Router::new().add_service(Arc::new(Handler));
    let served = Server::from_listener(listener).serve(router).await;
    served.map_err(|error| error.to_string().into())
}
