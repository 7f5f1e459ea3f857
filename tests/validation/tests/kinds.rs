//! Each kind of method, of a service of ours and of one that tonic generated.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use wireloom::server::Service;
use wireloom::tokio_stream::{self as stream, Stream, StreamExt as _};
use wireloom::tonic::{async_trait, codec::CompressionEncoding};
use wireloom::{Code, Compression, MessageStream, Request, Response, Status, Streaming};

use crate::proto::validated::{Item, Order, Orders, OrdersClient, OrdersServer, Placed};
use crate::support::{in_process, pairs, violations};

/// What was generated for tonic.
#[allow(dead_code)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/tonic/wireloom.rs"));
}

use generated::validated as of_tonic;

/// Whose orders came to a handler.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub fn customers(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Adds one; how many there are then.
    fn add(&self, customer: String) -> u32 {
        let mut customers = self.0.lock().unwrap();
        customers.push(customer);
        u32::try_from(customers.len()).unwrap()
    }
}

impl Orders for Seen {
    async fn place(&self, order: Request<Order>) -> Result<Response<Placed>, Status> {
        let count = self.add(order.into_inner().customer);
        Ok(Response::new(Placed { count }))
    }

    async fn place_all(
        &self,
        orders: Request<Streaming<Order>>,
    ) -> Result<Response<Placed>, Status> {
        let mut orders = orders.into_inner();
        let mut placed = Placed::default();
        while let Some(order) = orders.message().await? {
            placed.count = self.add(order.customer);
        }
        Ok(Response::new(placed))
    }

    async fn place_items(
        &self,
        order: Request<Order>,
    ) -> Result<Response<impl MessageStream<Placed>>, Status> {
        let order = order.into_inner();
        self.add(order.customer);
        let placed = order.items.into_iter().map(|Item { count, .. }| count);
        let placed = placed.map(|count| Ok(Placed { count }));
        Ok(Response::new(stream::iter(placed)))
    }

    async fn place_each(
        &self,
        orders: Request<Streaming<Order>>,
    ) -> Result<Response<impl MessageStream<Placed>>, Status> {
        let seen = self.clone();
        let placed = orders.into_inner().map(move |order| {
            let count = seen.add(order?.customer);
            Ok(Placed { count })
        });
        Ok(Response::new(placed))
    }

    async fn count(&self, request: Request<Placed>) -> Result<Response<Placed>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<of_tonic::Placed, Status>> + Send>>;

#[async_trait]
impl of_tonic::orders_server::Orders for Seen {
    type PlaceItemsStream = Answers;
    type PlaceEachStream = Answers;

    async fn place(
        &self,
        order: Request<of_tonic::Order>,
    ) -> Result<Response<of_tonic::Placed>, Status> {
        let count = self.add(order.into_inner().customer);
        Ok(Response::new(of_tonic::Placed { count }))
    }

    async fn place_all(
        &self,
        orders: Request<wireloom::tonic::Streaming<of_tonic::Order>>,
    ) -> Result<Response<of_tonic::Placed>, Status> {
        let mut orders = orders.into_inner();
        let mut placed = of_tonic::Placed::default();
        while let Some(order) = orders.message().await? {
            placed.count = self.add(order.customer);
        }
        Ok(Response::new(placed))
    }

    async fn place_items(
        &self,
        order: Request<of_tonic::Order>,
    ) -> Result<Response<Answers>, Status> {
        let order = order.into_inner();
        self.add(order.customer);
        let placed = order.items.into_iter().map(|item| item.count);
        let placed = placed.map(|count| Ok(of_tonic::Placed { count }));
        Ok(Response::new(Box::pin(stream::iter(placed))))
    }

    async fn place_each(
        &self,
        orders: Request<wireloom::tonic::Streaming<of_tonic::Order>>,
    ) -> Result<Response<Answers>, Status> {
        let seen = self.clone();
        let placed = orders.into_inner().map(move |order| {
            let count = seen.add(order?.customer);
            Ok(of_tonic::Placed { count })
        });
        Ok(Response::new(Box::pin(placed)))
    }

    async fn count(
        &self,
        request: Request<of_tonic::Placed>,
    ) -> Result<Response<of_tonic::Placed>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// An order that holds to its rules.
fn order(customer: &str) -> Order {
    let item = |count| Item {
        sku: "tea".to_owned(),
        count,
    };
    Order {
        customer: customer.to_owned(),
        items: vec![item(3), item(4)],
        note: String::new(),
    }
}

/// One that has no items.
fn invalid() -> Order {
    Order {
        items: Vec::new(),
        ..order("eve")
    }
}

fn assert_refused(status: &Status) {
    let expected = pairs(&[("items", "repeated.min_items")]);
    assert_eq!(violations(status), expected);
}

async fn unary(client: OrdersClient, seen: Seen) {
    assert_refused(&client.place(invalid()).await.unwrap_err());
    assert_eq!(client.place(order("ada")).await.unwrap().get_ref().count, 1);
    assert_eq!(seen.customers(), ["ada"]);
    client.count(Placed { count: 0 }).await.unwrap();
}

async fn server_streaming(client: OrdersClient, seen: Seen) {
    assert_refused(&client.place_items(invalid()).await.unwrap_err());
    let placed = client.place_items(order("ada")).await.unwrap();
    let counts = placed.into_inner().map(|placed| placed.unwrap().count);
    assert_eq!(counts.collect::<Vec<_>>().await, [3, 4]);
    assert_eq!(seen.customers(), ["ada"]);
}

async fn client_streaming(client: OrdersClient, seen: Seen) {
    let orders = stream::iter([order("ada"), invalid(), order("bob")]);
    assert_refused(&client.place_all(orders).await.unwrap_err());
    assert_eq!(seen.customers(), ["ada"]);
    let orders = stream::iter([order("bob"), order("cem")]);
    assert_eq!(client.place_all(orders).await.unwrap().get_ref().count, 3);
}

async fn bidi_streaming(client: OrdersClient, seen: Seen) {
    let orders = stream::iter([order("ada"), invalid(), order("bob")]);
    let mut placed = client.place_each(orders).await.unwrap().into_inner();
    assert_eq!(placed.message().await.unwrap(), Some(Placed { count: 1 }));
    assert_refused(&placed.message().await.unwrap_err());
    assert_eq!(placed.message().await.unwrap(), None);
    assert_eq!(seen.customers(), ["ada"]);
    let orders = stream::iter([order("bob"), order("cem")]);
    let placed = client.place_each(orders).await.unwrap().into_inner();
    let counts = placed.map(|placed| placed.unwrap().count);
    assert_eq!(counts.collect::<Vec<_>>().await, [2, 3]);
}

async fn compressed(client: OrdersClient, seen: Seen) {
    let compression = Compression::Gzip;
    let refused = client.place(invalid()).compression(compression).await;
    assert_refused(&refused.unwrap_err());
    let placed = client.place(order("ada")).compression(compression).await;
    assert_eq!(placed.unwrap().get_ref().count, 1);
    assert_eq!(seen.customers(), ["ada"]);
}

/// Makes tests of each of these functions, which take a client and what handlers see, one for each service.
macro_rules! with_each_service {
    ($($name:ident),+ $(,)?) => {
        mod ours {
            $(
                #[tokio::test]
                async fn $name() {
                    let seen = super::Seen::default();
                    let orders = super::OrdersServer::new(seen.clone());
                    super::$name(super::OrdersClient::new(super::in_process(orders)), seen).await;
                }
            )+
        }

        mod of_tonics {
            $(
                #[tokio::test]
                async fn $name() {
                    let seen = super::Seen::default();
                    let orders = super::of_tonic::orders_server::OrdersServer::new(seen.clone());
                    super::$name(super::OrdersClient::new(super::in_process(orders)), seen).await;
                }
            )+
        }
    };
}

with_each_service!(
    unary,
    server_streaming,
    client_streaming,
    bidi_streaming,
    compressed,
);

#[tokio::test]
async fn what_tonic_alone_could_decompress_does_not_pass_by_the_rules() {
    let seen = Seen::default();
    let orders = of_tonic::orders_server::OrdersServer::new(seen.clone());
    let orders = orders.accept_compressed(CompressionEncoding::Deflate);
    let client = of_tonic::orders_client::OrdersClient::new(in_process(orders));
    let mut client = client.send_compressed(CompressionEncoding::Deflate);
    let order = of_tonic::Order {
        customer: "eve".to_owned(),
        ..of_tonic::Order::default()
    };
    let status = client.place(order).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(seen.customers().is_empty());
}

#[test]
fn generated_code_says_which_methods_have_rules() {
    fn ruled<S: Service>(_: &S) -> Vec<&'static str> {
        let ruled = S::METHODS
            .iter()
            .filter(|method| method.has_request_rules());
        ruled.map(|method| method.full_name()).collect()
    }
    let expected = ["Place", "PlaceAll", "PlaceItems", "PlaceEach"];
    let expected = expected.map(|method| format!("validated.Orders/{method}"));
    assert_eq!(ruled(&OrdersServer::new(Seen::default())), expected);
    let of_tonic = of_tonic::orders_server::OrdersServer::new(Seen::default());
    assert_eq!(ruled(&of_tonic), expected);
}
