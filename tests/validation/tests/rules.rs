use wireloom::{Channel, Server};

use crate::kinds::Seen;
use crate::proto::validated::{Item, Order, OrdersClient, OrdersServer};
use crate::support::{pairs, violations};

fn client() -> (OrdersClient, Seen) {
    let seen = Seen::default();
    let orders = OrdersServer::new(seen.clone());
    let server = Server::builder().add_service(orders).validation();
    let channel = Channel::in_process(server).lazy().unwrap();
    (OrdersClient::new(channel), seen)
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

#[tokio::test]
async fn every_violation_is_told_and_the_handler_sees_nothing() {
    let (client, seen) = client();
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
    assert!(seen.customers().is_empty());
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
async fn however_often_a_rule_is_broken_the_answer_fits_a_header() {
    let (client, _) = client();
    let mut many = order(&vec![item("Not Lower Case", 0); 500]);
    many.note = "x".to_owned();
    let status = client.place(many).await.unwrap_err();
    assert_eq!(violations(&status).len(), 16);
    assert!(status.message().ends_with("(and 997 more)"), "{status}");
}

#[tokio::test]
async fn of_a_large_request_the_first_violation_is_told_alone() {
    let (client, _) = client();
    let mut many = order(&vec![item("", 0); 10_000]);
    many.note = "x".to_owned();
    let status = client.place(many.clone()).await.unwrap_err();
    let first = [("items[0].sku", "string.pattern")];
    assert_eq!(violations(&status), pairs(&first));
    many.customer = String::new();
    let status = client.place(many).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("customer", "required")]));
}
