use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wireloom::error_details::{FieldViolation, StatusExt as _};
use wireloom::server::Listener;
use wireloom::tokio_stream as stream;
use wireloom::{Channel, Code, Request, Response, Server, Status, Streaming};

use crate::proto::validated::{Item, Order, Orders, OrdersClient, OrdersServer, Placed};

/// Code whose rules cannot be compiled.
#[allow(dead_code)]
mod wrong {
    include!(concat!(env!("OUT_DIR"), "/wrong/wireloom.rs"));
}

/// Counts the orders that reach it.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU32>);

impl Orders for Counter {
    async fn place(&self, _: Request<Order>) -> Result<Response<Placed>, Status> {
        let count = self.0.fetch_add(1, Relaxed) + 1;
        Ok(Response::new(Placed { count }))
    }

    async fn place_all(
        &self,
        orders: Request<Streaming<Order>>,
    ) -> Result<Response<Placed>, Status> {
        let mut orders = orders.into_inner();
        while orders.message().await?.is_some() {
            self.0.fetch_add(1, Relaxed);
        }
        let count = self.0.load(Relaxed);
        Ok(Response::new(Placed { count }))
    }

    async fn count(&self, request: Request<Placed>) -> Result<Response<Placed>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

fn client() -> (OrdersClient, Counter) {
    let counter = Counter::default();
    let orders = OrdersServer::new(counter.clone());
    let server = Server::builder().add_service(orders).validation();
    let channel = Channel::in_process(server).lazy().unwrap();
    (OrdersClient::new(channel), counter)
}

fn item(sku: &str, count: u32) -> Item {
    let sku = sku.to_owned();
    Item { sku, count }
}

fn order(items: &[Item]) -> Order {
    Order {
        customer: "ada".to_owned(),
        items: items.to_vec(),
        note: String::new(),
    }
}

/// The fields and the rules of the violations that a call ended with.
fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.check_error_details().unwrap();
    let violations = details.bad_request().unwrap().field_violations.clone();
    let said = |violation: FieldViolation| {
        assert!(!violation.description.is_empty());
        (violation.field, violation.reason)
    };
    violations.into_iter().map(said).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(field, rule): &(&str, &str)| ((*field).to_owned(), (*rule).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn what_holds_to_its_rules_reaches_the_handler() {
    let (client, _) = client();
    let placed = client.place(order(&[item("tea", 3)])).await.unwrap();
    assert_eq!(placed.get_ref().count, 1);
    client.count(Placed { count: 0 }).await.unwrap();
}

#[tokio::test]
async fn every_violation_is_told_and_the_handler_sees_nothing() {
    let (client, counter) = client();
    let status = client
        .place(Order {
            customer: String::new(),
            ..order(&[item("tea", 3), item("Tea", 0)])
        })
        .await
        .unwrap_err();
    let expected = [
        ("customer", "required"),
        ("items[1].sku", "string.pattern"),
        ("items[1].count", "uint32.gt"),
    ];
    assert_eq!(violations(&status), pairs(&expected));
    let status = client.place(order(&[])).await.unwrap_err();
    let expected = pairs(&[("items", "repeated.min_items")]);
    assert_eq!(violations(&status), expected);
    assert_eq!(counter.0.load(Relaxed), 0);
}

#[tokio::test]
async fn a_rule_in_cel_is_about_the_whole_message() {
    let (client, _) = client();
    let mut large = order(&vec![item("tea", 1); 11]);
    let status = client.place(large.clone()).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("", "order.total")]));
    let message = "an order of more than ten items needs a note";
    assert_eq!(status.message(), message);
    large.note = "for a party".to_owned();
    client.place(large).await.unwrap();
}

#[tokio::test]
async fn each_message_of_a_stream_is_held_to_the_rules() {
    let (client, counter) = client();
    let orders = [order(&[item("tea", 3)]), order(&[]), order(&[item("a", 1)])];
    let status = client.place_all(stream::iter(orders)).await.unwrap_err();
    let expected = pairs(&[("items", "repeated.min_items")]);
    assert_eq!(violations(&status), expected);
    assert_eq!(counter.0.load(Relaxed), 1);
}

/// Does nothing, in the service whose rule is wrong.
struct Nothing;

impl wrong::wrong::Wrong for Nothing {
    async fn r#do(
        &self,
        request: Request<wrong::wrong::Outer>,
    ) -> Result<Response<wrong::wrong::Outer>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_compiled_is_told_before_anything_is_served() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let service = wrong::wrong::WrongServer::new(Nothing);
    let server = Server::builder().add_service(service).validation();
    let status = server.serve(listener).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("wrong.Inner"), "{status}");
    assert!(status.message().contains("this =="), "{status}");
}

#[tokio::test]
async fn however_often_a_rule_is_broken_the_answer_fits_a_header() {
    let (client, _) = client();
    let mut many = order(&vec![item("Not Lower Case", 0); 5000]);
    many.note = "x".to_owned();
    let status = client.place(many).await.unwrap_err();
    assert_eq!(violations(&status).len(), 16);
    assert!(status.message().ends_with("(and 9997 more)"), "{status}");
}

#[tokio::test]
async fn a_service_without_descriptors_is_not_served_with_validation() {
    struct Bare;
    impl wireloom::server::Service for Bare {
        const NAME: &'static str = "bare.Service";

        async fn call(&self, call: wireloom::server::Call) -> wireloom::server::Reply {
            call.unimplemented()
        }
    }
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::builder().add_service(Bare).validation();
    let status = server.serve(listener).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("bare.Service"), "{status}");
}
