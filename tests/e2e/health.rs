//! What a server says of its health, to clients of ours.

use std::time::Duration;

use wireloom::health::{HealthReporter, ServingStatus};
use wireloom::{Channel, Code, Method, Server, Streaming};

use crate::support::{Probe, ProbeClient, ProbeServer, Setup, TestServer, task};

/// Their messages have one field: the names of a service, a number.
static CHECK: Method<String, i32> = Method::unary("/grpc.health.v1.Health/Check");
static WATCH: Method<String, i32> = Method::server_streaming("/grpc.health.v1.Health/Watch");

const SERVING: i32 = ServingStatus::Serving as i32;
const NOT_SERVING: i32 = ServingStatus::NotServing as i32;
const PROBE: &str = "probe.Probe";

async fn serve(change: impl FnOnce(Server) -> Server) -> (TestServer, HealthReporter) {
    let health = HealthReporter::new();
    let server = change(Server::builder().health(health.clone()));
    let setup = Setup {
        server,
        ..Setup::default()
    };
    (TestServer::start(setup).await, health)
}

async fn watch(channel: &Channel) -> Streaming<i32> {
    let call = channel.server_streaming(&WATCH, PROBE.to_owned());
    let mut watch = call.await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap(), Some(SERVING));
    watch
}

#[tokio::test]
async fn a_channel_that_checks_health_follows_what_the_reporter_says() {
    let (server, health) = serve(|server| server).await;
    let channel = Channel::builder(&server.target)
        .load_balancing(wireloom::LoadBalancing::RoundRobin)
        .health_check(PROBE)
        .lazy()
        .unwrap();
    let client = ProbeClient::new(channel);
    client.unary(task("well")).await.unwrap();

    health.set_status(PROBE, ServingStatus::NotServing);
    while let Ok(outcome) = client.unary(task("until it is known")).await {
        drop(outcome);
    }
    let status = client.unary(task("unwell")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    health.set_status(PROBE, ServingStatus::Serving);
    let call = client.unary(task("well again")).wait_for_ready(true);
    call.await.unwrap();
}

#[tokio::test]
async fn a_service_is_named_by_its_type() {
    fn set_not_serving<P: Probe>(health: &HealthReporter, _: &ProbeServer<P>) {
        health.set_not_serving::<ProbeServer<P>>();
    }
    let (service, _events) = crate::support::service();
    let health = HealthReporter::new();
    set_not_serving(&health, &service);
    assert_eq!(health.status(PROBE), Some(ServingStatus::NotServing));
}

#[tokio::test]
async fn a_part_of_a_server_has_a_status_of_its_own() {
    let (service, _events) = crate::support::service();
    let health = HealthReporter::new();
    let server = Server::builder()
        .health(health.clone())
        .add_service(service);
    // Whoever asks for the database is told, and so is whoever asks for the server as a whole.
    health.set_status("database", ServingStatus::NotServing);
    let channel = Channel::in_process(server).lazy().unwrap();
    for name in ["database", ""] {
        let asked = channel.unary(&CHECK, name.to_owned()).await;
        assert_eq!(asked.unwrap().into_inner(), NOT_SERVING, "{name}");
    }
}

#[tokio::test]
async fn a_watch_is_told_of_a_shutdown_and_does_not_hold_it_up() {
    let (server, _) = serve(|server| server).await;
    let channel = Channel::connect(&server.target).await.unwrap();
    let mut watch = watch(&channel).await;
    assert_eq!(server.stopped().await.cut_off_calls, 0);
    assert_eq!(watch.message().await.unwrap(), Some(NOT_SERVING));
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_lame_duck_says_that_it_does_not_serve_and_serves() {
    let (mut server, _) = serve(|server| server.lame_duck_time(Duration::from_secs(600))).await;
    let early = Channel::connect(&server.target).await.unwrap();
    let mut watch = watch(&early).await;
    server.stop();
    assert_eq!(watch.message().await.unwrap(), Some(NOT_SERVING));

    let late = Channel::connect(&server.target).await.unwrap();
    let health = late.unary(&CHECK, String::new()).await.unwrap();
    assert_eq!(health.into_inner(), NOT_SERVING);
    for channel in [early, late] {
        let client = ProbeClient::new(channel);
        client.unary(task("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_lame_duck_goes_after_its_time() {
    let time = Duration::from_millis(50);
    let (server, _) = serve(|server| server.lame_duck_time(time)).await;
    let client = server.client().await;
    client.unary(task("a")).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(server.stopped().await.cut_off_calls, 0);
    assert!(begun.elapsed() >= time);
}
