//! A request to a method with rules (`tests/validation/proto/validated.proto`): the input is its message, as it stands on the wire.

#![no_main]

use bytes::Bytes;
use http::{Request as HttpRequest, Version, header};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;
use wireloom::{
    Code, Compression, MessageStream, Request, Response, Server, Status, Streaming,
    fuzzing::write_message, prost::Message as _, server::HttpService, tokio_stream::Empty,
};

use proto::validated::{Order, Orders, OrdersServer, Placed};

mod proto {
    wireloom::include_protos!();
}

fuzz_target!(|input: &[u8]| {
    let code = place(write_message(input, Compression::Identity).expect("it is small"));
    let expected = match Order::decode(input) {
        Ok(order) if holds(&order) => Code::Ok,
        Ok(_) => Code::InvalidArgument,
        Err(_) => Code::Internal,
    };
    assert_eq!(code, expected);
});

/// The rules once more.
fn holds(order: &Order) -> bool {
    let is_sku = |sku: &str| !sku.is_empty() && sku.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut items = order.items.iter();
    !order.customer.is_empty()
        && !order.items.is_empty()
        && items.all(|item| is_sku(&item.sku) && item.count > 0)
        && (order.items.len() <= 10 || !order.note.is_empty())
}

thread_local! {
    /// Rules are compiled once: it takes longer than all else.
    static SERVED: (Runtime, HttpService) = served();
}

fn served() -> (Runtime, HttpService) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let server = Server::builder().add_service(OrdersServer::new(Takes));
    let service = server.validation().into_service();
    (
        runtime.expect("there is room for a runtime"),
        service.expect("the server is valid"),
    )
}

fn place(body: Bytes) -> Code {
    let request = HttpRequest::post("/validated.Orders/Place")
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(Full::new(body));
    SERVED.with(|(runtime, service)| {
        let mut service = service.clone();
        runtime.block_on(async {
            let Ok(response) = service.call(request.expect("it is a request")).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("the body does not fail");
            let fields = body.trailers().unwrap_or(&head.headers);
            Code::from_bytes(fields["grpc-status"].as_bytes())
        })
    })
}

struct Takes;

type Nothing = Response<Empty<Result<Placed, Status>>>;

impl Orders for Takes {
    async fn place(&self, order: Request<Order>) -> Result<Response<Placed>, Status> {
        assert!(holds(order.get_ref()));
        Ok(Response::new(Placed::default()))
    }

    async fn place_all(&self, _: Request<Streaming<Order>>) -> Result<Response<Placed>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn place_items(
        &self,
        _: Request<Order>,
    ) -> Result<Response<impl MessageStream<Placed>>, Status> {
        Err::<Nothing, _>(Status::unimplemented(""))
    }

    async fn place_each(
        &self,
        _: Request<Streaming<Order>>,
    ) -> Result<Response<impl MessageStream<Placed>>, Status> {
        Err::<Nothing, _>(Status::unimplemented(""))
    }

    async fn count(&self, placed: Request<Placed>) -> Result<Response<Placed>, Status> {
        Ok(Response::new(placed.into_inner()))
    }
}
