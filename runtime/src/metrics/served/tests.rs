//! What is recorded of a server, as an exporter sees it.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};

use crate::{
    authorization::Authorization,
    channel::Channel,
    interceptor::panicking::PanickingObserver,
    method::{Method, MethodDescriptor},
    metrics::tests::{Point, Recorded},
    server::{AdaptiveLimit, Call, Limits, Queue, RateLimit, Reply, Server, Service},
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static MANY: Method<String, String> = Method::server_streaming("/test.Test/Many");
static NONE: Method<String, String> = Method::unary("/test.Test/None");

/// Does what a request says.
struct Test;

impl Service for Test {
    const NAME: &'static str = "test.Test";
    const METHODS: &'static [&'static MethodDescriptor] = &[UNARY.descriptor(), MANY.descriptor()];

    async fn call(&self, call: Call) -> Reply {
        match call.path() {
            "/test.Test/Unary" => call.unary(&UNARY, unary).await,
            "/test.Test/Many" => {
                call.server_streaming(&MANY, |request: Request<String>| async move {
                    let panics = request.get_ref() == "panic at last";
                    let at_last = panics.then(|| PanicsAtLast);
                    let replies = ["one", "two"].map(|reply| Ok(reply.to_owned()));
                    let replies = stream::iter(replies).map(move |reply| {
                        let _ = &at_last;
                        reply
                    });
                    Ok(Response::new(replies))
                })
                .await
            }
            _ => call.unimplemented(),
        }
    }
}

/// Panics when it is dropped.
struct PanicsAtLast;

impl Drop for PanicsAtLast {
    fn drop(&mut self) {
        panic!("as told");
    }
}

static BEGUN: Notify = Notify::const_new();
static GO: Notify = Notify::const_new();

async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    match request.get_ref().as_str() {
        "panic" => panic!("as told"),
        "block" => std::thread::sleep(Duration::from_millis(200)),
        "wait" => {
            BEGUN.notify_one();
            GO.notified().await;
        }
        "fail" => return Err(Status::not_found("as told")),
        _ => {}
    }
    Ok(Response::new("reply".to_owned()))
}

/// A client of a server whose metrics can be looked at.
fn serve() -> (Channel, Recorded) {
    let (metrics, recorded) = Recorded::new();
    let server = Server::builder()
        .metrics(metrics)
        .blocking_threshold(Duration::from_millis(20))
        .add_service(Test);
    (Channel::in_process(server).lazy().unwrap(), recorded)
}

async fn call(channel: &Channel, request: &str) -> Code {
    let called = channel.unary(&UNARY, request.to_owned()).await;
    called.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn point(values: &[&str], count: u64, sum: u64) -> Point {
    let mut values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
    values.sort();
    (values, count, sum)
}

#[tokio::test]
async fn rule_52_each_served_call_is_recorded_once_with_its_method_and_status() {
    let (channel, recorded) = serve();
    assert_eq!(call(&channel, "hello").await, Code::Ok);
    assert_eq!(call(&channel, "fail").await, Code::NotFound);
    let points = recorded.points();
    let method = "test.Test/Unary";
    assert_eq!(points["grpc.server.call.started"], [point(&[method], 2, 2)]);
    assert_eq!(
        points["grpc.server.call.duration"],
        [
            point(&[method, "NOT_FOUND"], 1, 0),
            point(&[method, "OK"], 1, 0)
        ]
    );
    assert_eq!(
        points["grpc.server.call.rcvd_total_compressed_message_size"],
        [
            point(&[method, "NOT_FOUND"], 1, 6),
            point(&[method, "OK"], 1, 7)
        ]
    );
    assert_eq!(
        points["grpc.server.call.sent_total_compressed_message_size"],
        [
            point(&[method, "NOT_FOUND"], 1, 0),
            point(&[method, "OK"], 1, 7)
        ]
    );
    assert_eq!(
        points["rpc.server.call.duration"],
        [
            point(&[method, "NOT_FOUND", "grpc"], 1, 0),
            point(&[method, "OK", "grpc"], 1, 0)
        ]
    );
}

#[tokio::test]
async fn rule_52_all_messages_of_a_stream_add_up() {
    let (channel, recorded) = serve();
    let replies = channel.server_streaming(&MANY, "hello".to_owned()).await;
    let mut replies = replies.unwrap().into_inner();
    while replies.message().await.unwrap().is_some() {}
    assert_eq!(
        recorded.points()["grpc.server.call.sent_total_compressed_message_size"],
        [point(&["test.Test/Many", "OK"], 1, 10)]
    );
}

#[tokio::test]
async fn rule_52_a_method_that_a_service_does_not_have_is_other() {
    let (channel, recorded) = serve();
    channel.unary(&NONE, String::new()).await.unwrap_err();
    let points = recorded.points();
    assert_eq!(
        points["grpc.server.call.started"],
        [point(&["other"], 1, 1)]
    );
    assert_eq!(
        points["rpc.server.call.duration"],
        [point(
            &["_OTHER", "UNIMPLEMENTED", "UNIMPLEMENTED", "grpc"],
            1,
            0
        )]
    );
}

#[tokio::test]
async fn rule_52_a_name_that_is_let_pass_is_recorded_whatever_methods_there_are() {
    let (metrics, recorded) = Recorded::new();
    let metrics = metrics.generic_methods(|method| method == "test.Test/None");
    let server = Server::builder().metrics(metrics).add_service(Test);
    let channel = Channel::in_process(server).lazy().unwrap();
    channel.unary(&NONE, String::new()).await.unwrap_err();
    assert_eq!(
        recorded.points()["grpc.server.call.started"],
        [point(&["test.Test/None"], 1, 1)]
    );
}

#[tokio::test]
async fn calls_and_connections_are_counted_while_they_last() {
    let (channel, recorded) = serve();
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, "wait").await }
    });
    BEGUN.notified().await;
    let points = recorded.points();
    assert_eq!(points["wireloom.server.active_calls"], [point(&[], 1, 1)]);
    assert_eq!(points["wireloom.server.connections"], [point(&[], 1, 1)]);

    GO.notify_one();
    assert_eq!(waiting.await.unwrap(), Code::Ok);
    drop(channel);
    while recorded.points()["wireloom.server.connections"] != [point(&[], 0, 0)] {
        tokio::task::yield_now().await;
    }
    let points = recorded.points();
    assert_eq!(points["wireloom.server.active_calls"], [point(&[], 0, 0)]);
}

#[tokio::test]
async fn panics_are_counted() {
    let (channel, recorded) = serve();
    assert_eq!(call(&channel, "panic").await, Code::Internal);
    assert_eq!(
        recorded.points()["wireloom.server.panics"],
        [point(&["test.Test/Unary"], 1, 1)]
    );
}

#[tokio::test]
async fn a_stream_that_panics_when_it_is_dropped_is_recorded_as_it_ended() {
    let (channel, recorded) = serve();
    let replies = channel.server_streaming(&MANY, "panic at last".to_owned());
    let mut replies = replies.await.unwrap().into_inner();
    while replies.message().await.unwrap().is_some() {}
    let method = "test.Test/Many";
    let points = recorded.points();
    assert_eq!(
        points["grpc.server.call.duration"],
        [point(&[method, "OK"], 1, 0)]
    );
    assert_eq!(points["wireloom.server.panics"], [point(&[method], 1, 1)]);
}

#[tokio::test]
async fn a_call_whose_observer_panics_is_recorded_as_it_ended() {
    let (metrics, recorded) = Recorded::new();
    let server = Server::builder().metrics(metrics).add_service(Test);
    let server = server.interceptor(PanickingObserver { at_the_end: true });
    let channel = Channel::in_process(server).lazy().unwrap();
    assert_eq!(call(&channel, "hello").await, Code::Ok);
    let method = "test.Test/Unary";
    let points = recorded.points();
    assert_eq!(
        points["grpc.server.call.duration"],
        [point(&[method, "OK"], 1, 0)]
    );
    assert_eq!(points["wireloom.server.panics"], [point(&[method], 1, 1)]);
}

#[tokio::test]
async fn polls_that_block_a_thread_are_counted() {
    let (channel, recorded) = serve();
    assert_eq!(call(&channel, "block").await, Code::Ok);
    assert_eq!(
        recorded.points()["wireloom.server.blocked_threads"],
        [point(&["test.Test/Unary"], 1, 1)]
    );
}

#[tokio::test]
async fn calls_that_no_handler_sees_are_counted_by_the_reason() {
    let (metrics, recorded) = Recorded::new();
    let server = Server::builder()
        .metrics(metrics)
        .limits(Limits {
            rate: Some(RateLimit {
                calls_per_second: 0.001,
                burst: 3,
            }),
            ..Limits::default()
        })
        .authorization("test.Test/Many", Authorization::Public)
        .add_service(Test);
    let channel = Channel::in_process(server).lazy().unwrap();
    assert_eq!(call(&channel, "hello").await, Code::PermissionDenied);
    let none = channel.unary(&NONE, "hello".to_owned()).await;
    assert_eq!(none.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(call(&channel, "hello").await, Code::PermissionDenied);
    assert_eq!(call(&channel, "hello").await, Code::ResourceExhausted);
    assert_eq!(
        recorded.points()["wireloom.server.refused_calls"],
        [
            point(&["no_such_method"], 1, 1),
            point(&["permission_denied"], 2, 2),
            point(&["rate"], 1, 1),
        ]
    );
}

/// Never answers.
struct Hang;

impl Service for Hang {
    const NAME: &'static str = "test.Test";

    async fn call(&self, _: Call) -> Reply {
        std::future::pending().await
    }
}

/// What is counted as refused of a call that a client, who does not give up by itself, makes beside another.
async fn refused_beside_another(limits: Limits) -> Vec<Point> {
    let (metrics, recorded) = Recorded::new();
    let server = Server::builder().metrics(metrics).limits(limits);
    let server = server.add_service(Hang).into_process().unwrap();
    let io = server.connect().unwrap();
    let (mut sender, connection) = h2::client::handshake::<_>(io).await.unwrap();
    tokio::spawn(connection);
    let mut call = |timeout| {
        let head = http::Request::post("http://peer/test.Test/Unary")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout);
        let (response, _) = sender.send_request(head.body(()).unwrap(), true).unwrap();
        response
    };
    let _under_way = call("1H");
    assert!(
        call("100m")
            .await
            .unwrap()
            .headers()
            .contains_key("grpc-status")
    );
    recorded.points()["wireloom.server.refused_calls"].clone()
}

#[tokio::test(start_paused = true)]
async fn calls_that_find_no_room_are_counted_by_the_reason() {
    let waiting = |max_wait| Limits {
        max_concurrent_calls: Some(1),
        queue: Queue {
            max_wait,
            ..Queue::default()
        },
        ..Limits::default()
    };
    let adaptive = Limits {
        max_concurrent_calls: None,
        adaptive: Some(AdaptiveLimit {
            initial: 1,
            min: 1,
            ..AdaptiveLimit::default()
        }),
        ..waiting(Duration::ZERO)
    };
    for (limits, reason) in [
        (waiting(Duration::ZERO), "too_many_calls"),
        (waiting(Duration::from_millis(50)), "waited_too_long"),
        (waiting(Duration::from_secs(60)), "deadline_passed"),
        (adaptive, "overload"),
    ] {
        let refused = refused_beside_another(limits).await;
        assert_eq!(refused, [point(&[reason], 1, 1)]);
    }
}
