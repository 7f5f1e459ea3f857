//! What clients are told.

use tonic::{Code, Status};

use super::{
    HealthCheckRequest, HealthReporter, ServingStatus,
    messages::{HealthListRequest, SERVICE_UNKNOWN},
    service::{CHECK, LIST, MAX_LISTED, WATCH},
};
use crate::{
    channel::Channel,
    server::{Call, Reply, Server, Service},
    streaming::Streaming,
};

struct Greeter;

impl Service for Greeter {
    const NAME: &'static str = "test.Greeter";

    async fn call(&self, call: Call) -> Reply {
        call.unimplemented()
    }
}

struct Other;

impl Service for Other {
    const NAME: &'static str = "test.Other";

    async fn call(&self, call: Call) -> Reply {
        call.unimplemented()
    }
}

const SERVING: i32 = ServingStatus::Serving as i32;
const NOT_SERVING: i32 = ServingStatus::NotServing as i32;

/// A client of a server with two services, and what tells of their health.
struct Watched {
    channel: Channel,
    health: HealthReporter,
}

impl Watched {
    fn new() -> Self {
        let server = Server::builder().add_service(Greeter).add_service(Other);
        let health = server.health_reporter().unwrap();
        let channel = Channel::in_process(server).lazy().unwrap();
        Self { channel, health }
    }

    async fn check(&self, service: &str) -> Result<i32, Status> {
        let response = self.channel.unary(&CHECK, request(service)).await?;
        Ok(response.into_inner().status)
    }

    async fn watch(&self, service: &str) -> Watch {
        let call = self.channel.server_streaming(&WATCH, request(service));
        Watch(call.await.unwrap().into_inner())
    }

    async fn list(&self) -> Result<Vec<(String, i32)>, Status> {
        let response = self.channel.unary(&LIST, HealthListRequest {}).await?;
        let statuses = response.into_inner().statuses;
        let mut statuses: Vec<_> = statuses
            .into_iter()
            .map(|(service, health)| (service, health.status))
            .collect();
        statuses.sort();
        Ok(statuses)
    }
}

struct Watch(Streaming<super::HealthCheckResponse>);

impl Watch {
    async fn next(&mut self) -> i32 {
        self.0.message().await.unwrap().unwrap().status
    }
}

fn request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn a_service_serves_from_the_start_and_the_server_with_it() {
    let watched = Watched::new();
    assert_eq!(watched.check("test.Greeter").await.unwrap(), SERVING);
    assert_eq!(watched.check("").await.unwrap(), SERVING);
}

#[tokio::test]
async fn check_of_an_unknown_service_is_not_found() {
    let status = Watched::new().check("test.Nobody").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_long_name_does_not_come_back_in_a_header() {
    let long = "x".repeat(1 << 20);
    let status = Watched::new().check(&long).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(
        status.message().len() < 1000,
        "{} bytes",
        status.message().len()
    );
}

#[tokio::test]
async fn what_was_said_before_the_server_serves_holds() {
    let health = HealthReporter::new();
    health.set_not_serving::<Greeter>();
    let server = Server::builder()
        .health(health.clone())
        .add_service(Greeter);
    let channel = Channel::in_process(server).lazy().unwrap();
    let watched = Watched { channel, health };
    assert_eq!(watched.check("test.Greeter").await.unwrap(), NOT_SERVING);
}

#[tokio::test]
async fn the_server_does_not_serve_while_a_service_does_not() {
    let watched = Watched::new();
    watched.health.set_not_serving::<Other>();
    assert_eq!(watched.check("").await.unwrap(), NOT_SERVING);
    assert_eq!(watched.check("test.Greeter").await.unwrap(), SERVING);
    watched.health.set_serving::<Other>();
    assert_eq!(watched.check("").await.unwrap(), SERVING);
}

#[tokio::test]
async fn a_status_of_the_server_that_is_set_holds_until_it_is_cleared() {
    let watched = Watched::new();
    watched.health.set_not_serving::<Other>();
    watched.health.set_status("", ServingStatus::Serving);
    assert_eq!(watched.check("").await.unwrap(), SERVING);
    watched.health.clear_status("");
    assert_eq!(watched.check("").await.unwrap(), NOT_SERVING);
}

#[tokio::test]
async fn a_watch_tells_the_status_and_each_change() {
    let watched = Watched::new();
    let mut watch = watched.watch("test.Greeter").await;
    assert_eq!(watch.next().await, SERVING);
    watched.health.set_not_serving::<Greeter>();
    assert_eq!(watch.next().await, NOT_SERVING);
    watched.health.set_serving::<Greeter>();
    assert_eq!(watch.next().await, SERVING);
}

#[tokio::test]
async fn a_watch_does_not_tell_what_is_no_change_of_its_service() {
    let watched = Watched::new();
    let mut watch = watched.watch("test.Greeter").await;
    assert_eq!(watch.next().await, SERVING);
    watched.health.set_not_serving::<Other>();
    watched.health.set_serving::<Greeter>();
    tokio::task::yield_now().await;
    watched.health.set_not_serving::<Greeter>();
    assert_eq!(watch.next().await, NOT_SERVING);
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_goes_on_until_it_is_known() {
    let watched = Watched::new();
    let mut watch = watched.watch("test.Late").await;
    assert_eq!(watch.next().await, SERVICE_UNKNOWN);
    watched
        .health
        .set_status("test.Late", ServingStatus::Serving);
    assert_eq!(watch.next().await, SERVING);
    watched.health.clear_status("test.Late");
    assert_eq!(watch.next().await, SERVICE_UNKNOWN);
}

#[tokio::test]
async fn a_slow_watcher_is_told_the_last_of_many_changes() {
    let watched = Watched::new();
    let mut watch = watched.watch("test.Greeter").await;
    assert_eq!(watch.next().await, SERVING);
    // On this thread, the watch is not polled in between.
    for _ in 0..1000 {
        watched.health.set_not_serving::<Greeter>();
        watched.health.set_serving::<Greeter>();
    }
    watched.health.set_not_serving::<Greeter>();
    assert_eq!(watch.next().await, NOT_SERVING);
}

#[tokio::test]
async fn a_list_tells_of_all_services_and_of_the_server() {
    let watched = Watched::new();
    watched.health.set_not_serving::<Other>();
    let expected = [
        ("".to_owned(), NOT_SERVING),
        ("test.Greeter".to_owned(), SERVING),
        ("test.Other".to_owned(), NOT_SERVING),
    ];
    assert_eq!(watched.list().await.unwrap(), expected);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_resource_exhausted() {
    let watched = Watched::new();
    for number in 0..MAX_LISTED - 3 {
        let name = format!("test.Service{number}");
        watched.health.set_status(&name, ServingStatus::Serving);
    }
    assert_eq!(watched.list().await.unwrap().len(), MAX_LISTED);
    watched
        .health
        .set_status("one.too.Many", ServingStatus::Serving);
    let status = watched.list().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn after_a_shutdown_nothing_serves_whatever_is_said() {
    let watched = Watched::new();
    let mut watch = watched.watch("test.Greeter").await;
    assert_eq!(watch.next().await, SERVING);
    watched.health.shut_down();
    assert_eq!(watch.next().await, NOT_SERVING);
    watched.health.set_serving::<Greeter>();
    watched.health.set_status("", ServingStatus::Serving);
    assert_eq!(watched.check("").await.unwrap(), NOT_SERVING);
    assert_eq!(watched.check("test.Greeter").await.unwrap(), NOT_SERVING);
}

#[tokio::test]
async fn a_server_without_health_does_not_answer() {
    let server = Server::builder().add_service(Greeter).without_health();
    let channel = Channel::in_process(server).lazy().unwrap();
    let call = channel.unary(&CHECK, request("")).await;
    assert_eq!(call.unwrap_err().code(), Code::Unimplemented);
}
