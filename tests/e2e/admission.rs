//! What a server refuses, lets wait and lets in.

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};
use wireloom::server::{AdaptiveLimit, Limits, Listener, Queue, RateLimit};
use wireloom::{Authorization, Code, Response, RetryPolicy, Server, Status, StatusCodes};

use crate::events::Events;
use crate::support::{
    Event, Outcome, ProbeClient, Setup, Task, TestServer, in_process_on, service, task,
};

const UNARY: &str = "probe.Probe/Unary";

async fn start(server: Server) -> (TestServer, ProbeClient) {
    let setup = Setup {
        server,
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let client = server.client().await;
    (server, client)
}

/// One call at a time; others wait for as long as `max_wait`.
fn one_at_a_time(max_wait: Duration) -> Limits {
    Limits {
        max_concurrent_calls: Some(1),
        queue: Queue {
            max_wait,
            ..Queue::default()
        },
        ..Limits::default()
    }
}

fn one_call(calls_per_second: f64) -> Limits {
    Limits {
        rate: Some(RateLimit {
            calls_per_second,
            burst: 1,
        }),
        ..Limits::default()
    }
}

/// A call that goes on until it is dropped.
async fn occupy(server: &mut TestServer, client: &ProbeClient) -> JoinHandle<()> {
    let hanging = Task {
        hang: true,
        ..task("hanging")
    };
    let call = client.unary(hanging).no_timeout().into_future();
    let call = tokio::spawn(async move { drop(call.await) });
    assert_eq!(server.event().await, Event::Started("hanging".into()));
    call
}

fn pushback(status: &Status) -> Duration {
    let value = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    Duration::from_millis(value.to_str().unwrap().parse().unwrap())
}

fn name(response: Response<Outcome>) -> String {
    response.into_inner().name
}

#[tokio::test]
async fn a_call_over_the_rate_is_told_when_to_come_again_and_reaches_no_handler() {
    let (mut server, client) = start(Server::builder().limits(one_call(2.0))).await;
    client.unary(task("first")).await.unwrap();
    let status = client.unary(task("second")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(pushback(&status) <= Duration::from_secs(1), "{status:?}");
    assert_eq!(server.event().await, Event::Started("first".into()));
    drop(client);
    assert!(server.events.try_recv().is_err());
}

#[tokio::test]
async fn our_client_comes_again_when_the_server_says() {
    let (_server, client) = start(Server::builder().limits(one_call(5.0))).await;
    let policy = RetryPolicy {
        max_attempts: 2,
        // Without pushback it would come too early.
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        retryable_status_codes: StatusCodes::new(&[Code::ResourceExhausted]),
        backoff_multiplier: 1.0,
    };
    client.unary(task("first")).await.unwrap();
    let second = client.unary(task("second")).retry_policy(policy).await;
    assert_eq!(name(second.unwrap()), "second");
}

#[tokio::test]
async fn a_call_over_the_number_of_calls_is_unavailable() {
    let server = Server::builder().limits(one_at_a_time(Duration::ZERO));
    let (mut server, client) = start(server).await;
    let hanging = occupy(&mut server, &client).await;
    let status = client.unary(task("second")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(!pushback(&status).is_zero());
    hanging.abort();
}

#[tokio::test]
async fn a_call_that_waits_has_its_turn_when_another_ends() {
    let server = Server::builder().limits(one_at_a_time(Duration::from_secs(60)));
    let (mut server, client) = start(server).await;
    let hanging = occupy(&mut server, &client).await;
    let waiting = tokio::spawn(client.unary(task("waiting")).into_future());
    yield_now().await;
    hanging.abort();
    assert_eq!(name(waiting.await.unwrap().unwrap()), "waiting");
}

#[tokio::test]
async fn a_call_that_has_waited_too_long_is_unavailable() {
    let server = Server::builder().limits(one_at_a_time(Duration::from_millis(20)));
    let (mut server, client) = start(server).await;
    let _hanging = occupy(&mut server, &client).await;
    let status = client.unary(task("waiting")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("waited"), "{status}");
}

#[tokio::test]
async fn a_call_whose_deadline_passes_while_it_waits_reaches_no_handler() {
    let server = Server::builder().limits(one_at_a_time(Duration::from_secs(60)));
    let (mut server, client) = start(server).await;
    let hanging = occupy(&mut server, &client).await;
    let waiting = client.unary(task("waiting"));
    let status = waiting.timeout(Duration::from_millis(50)).await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    hanging.abort();
    // The next is let in, and the one before it never was.
    client.unary(task("next")).await.unwrap();
    loop {
        match server.event().await {
            Event::Started(name) if name == "next" => break,
            Event::Started(name) => panic!("{name} was started"),
            Event::Dropped(_) | Event::TokenFired(_) => {}
        }
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_leaves_its_place_to_others() {
    let mut limits = one_at_a_time(Duration::from_secs(60));
    limits.queue.max_calls = 1;
    let (mut server, client) = start(Server::builder().limits(limits)).await;
    let hanging = occupy(&mut server, &client).await;
    let mut first = tokio::spawn(client.unary(task("first")).into_future());
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut first).await;
    assert!(waits.is_err());
    let other = || {
        client
            .unary(task("other"))
            .timeout(Duration::from_millis(50))
    };
    assert_eq!(other().await.unwrap_err().code(), Code::Unavailable);
    first.abort();
    // There is room in the line again once a call waits until its deadline.
    while other().await.unwrap_err().code() != Code::DeadlineExceeded {}
    hanging.abort();
}

#[tokio::test]
async fn a_call_that_waits_is_served_while_the_server_drains() {
    let server = Server::builder().limits(one_at_a_time(Duration::from_secs(60)));
    let (mut server, client) = start(server).await;
    let hanging = occupy(&mut server, &client).await;
    let mut limited = tokio::spawn(client.unary(task("waiting")).into_future());
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut limited).await;
    assert!(waits.is_err());
    server.stop();
    while wireloom::Channel::connect(&server.target).await.is_ok() {
        yield_now().await;
    }
    hanging.abort();
    assert_eq!(name(limited.await.unwrap().unwrap()), "waiting");
    assert_eq!(server.stopped().await.cut_off_calls, 0);
}

#[tokio::test]
async fn a_call_that_waits_is_cut_off_with_the_others() {
    let setup = Setup {
        server: Server::builder().limits(one_at_a_time(Duration::from_secs(60))),
        shutdown_timeout: Duration::from_millis(100),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    let client = server.client().await;
    let _hanging = occupy(&mut server, &client).await;
    let mut waiting = tokio::spawn(client.unary(task("waiting")).into_future());
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(waits.is_err());
    let (events, _guard) = Events::listen();
    assert_eq!(server.stopped().await.cut_off_calls, 2);
    let told = "DEBUG a call was cut off method=\"probe.Probe/Unary\"";
    assert_eq!(events.with("a call was cut off"), [told; 2]);
    let status = waiting.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("shutting down"), "{status}");
}

#[tokio::test]
async fn a_methods_limit_leaves_other_methods_alone() {
    let server = Server::builder().method_limits(UNARY, one_call(0.001));
    let (_server, client) = start(server).await;
    client.unary(task("first")).await.unwrap();
    assert!(client.unary(task("second")).await.is_err());
    client.retried(task("other")).await.unwrap();
}

#[tokio::test]
async fn a_refused_call_is_told_of_with_the_limit() {
    let (events, _guard) = Events::listen();
    for (server, whose) in [
        (Server::builder().limits(one_call(0.001)), "server"),
        (
            Server::builder().method_limits(UNARY, one_call(0.001)),
            UNARY,
        ),
        (
            Server::builder().method_limits("probe.Probe", one_call(0.001)),
            "probe.Probe",
        ),
    ] {
        let (_server, client) = start(server).await;
        client.unary(task("first")).await.unwrap();
        client.unary(task("second")).await.unwrap_err();
        let told = "DEBUG a call was refused method=\"probe.Probe/Unary\" code=\"RESOURCE_EXHAUSTED\" reason=\"rate\" \
                    limit=\"rate_limit\"";
        let told = format!("{told} limit_of=\"{whose}\"");
        let warned = format!(
            "WARN calls are refused limit=\"rate_limit\" limit_of=\"{whose}\" refused=1 \
             method=\"probe.Probe/Unary\""
        );
        assert_eq!(events.with("refused "), [told, warned]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_two_methods_are_warned_of_apart() {
    let (events, _guard) = Events::listen();
    let server = Server::builder()
        .method_limits(UNARY, one_call(1e-6))
        .method_limits("probe.Probe/Retried", one_call(1e-6));
    let (channel, _events) = in_process_on(server);
    let client = ProbeClient::new(channel.lazy().unwrap());
    let told = |method: &str| {
        vec![format!(
            "WARN calls are refused limit=\"rate_limit\" limit_of=\"probe.Probe/{method}\" refused=1"
        )]
    };
    for _ in 0..2 {
        let _ = client.unary(task("a")).await;
    }
    assert_eq!(warnings(&events), told("Unary"));
    for _ in 0..2 {
        let _ = client.retried(task("a")).no_retry().await;
    }
    assert_eq!(warnings(&events), told("Retried"));
}

#[tokio::test]
async fn what_was_refused_last_is_told_though_the_server_ends() {
    let (events, _guard) = Events::listen();
    let (server, client) = start(Server::builder().limits(one_call(1e-6))).await;
    client.unary(task("first")).await.unwrap();
    for _ in 0..4 {
        client.unary(task("refused")).await.unwrap_err();
    }
    server.stopped().await;
    let told: Vec<_> = events
        .with("")
        .into_iter()
        .filter_map(|event| {
            let refused = event
                .split_once(" refused=")
                .map(|(_, refused)| refused[..1].to_owned());
            refused.or_else(|| event.contains("shut down").then(|| "the end".to_owned()))
        })
        .collect();
    assert_eq!(told, ["1", "3", "the end"]);
}

/// The warnings that came since the last look, without what they say of the method.
fn warnings(events: &Events) -> Vec<String> {
    let events = events.with("WARN").into_iter();
    let without = |event: String| event.split(" method=").next().map(str::to_owned);
    events.filter_map(without).collect()
}

#[tokio::test(start_paused = true)]
async fn refused_calls_are_warned_of_once_in_ten_seconds_with_their_number() {
    let (events, _guard) = Events::listen();
    // There is no token within the test.
    let server = Server::builder().limits(one_call(1e-6));
    let (channel, _events) = in_process_on(server);
    let client = ProbeClient::new(channel.lazy().unwrap());
    let told = |refused: usize| {
        vec![format!(
            "WARN calls are refused limit=\"rate_limit\" limit_of=\"server\" refused={refused}"
        )]
    };
    client.unary(task("first")).await.unwrap();
    for _ in 0..101 {
        client.unary(task("refused")).await.unwrap_err();
    }
    assert_eq!(warnings(&events), told(1));
    let seconds = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
    seconds(9).await;
    assert_eq!(warnings(&events), [""; 0]);
    seconds(2).await;
    assert_eq!(warnings(&events), told(100));
    // What is refused after a while without is told at once.
    seconds(20).await;
    assert_eq!(warnings(&events), [""; 0]);
    client.unary(task("refused")).await.unwrap_err();
    assert_eq!(warnings(&events), told(1));
    // There is no next time once the server has ended.
    client.unary(task("refused")).await.unwrap_err();
    drop(client);
    seconds(1).await;
    assert_eq!(warnings(&events), told(1));
}

#[tokio::test]
async fn refused_connections_are_warned_of() {
    let (events, _guard) = Events::listen();
    let (server, _client) = start(Server::builder().max_connections(1)).await;
    let address = server.target.strip_prefix("http://").unwrap();
    let mut refused = TcpStream::connect(address).await.unwrap();
    // It is closed at once.
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or_default(), 0);
    let warned = "WARN connections are refused limit=\"max_connections\" limit_of=\"server\" refused=1 peer=Tcp(";
    assert_eq!(events.with(warned).len(), 1);
}

#[tokio::test]
async fn a_call_that_is_not_allowed_is_told_of_too() {
    let (events, _guard) = Events::listen();
    let server = Server::builder().authorization("probe.Probe/Retried", Authorization::Public);
    let (_server, client) = start(server).await;
    client.unary(task("refused")).await.unwrap_err();
    let told = "DEBUG a call was refused method=\"probe.Probe/Unary\" code=\"PERMISSION_DENIED\" \
                reason=\"who may call this method is not declared\"";
    assert_eq!(events.with("a call was refused"), [told]);
}

#[tokio::test]
async fn what_is_exempt_is_always_let_in() {
    let server = Server::builder()
        .limits(one_call(0.001))
        .exempt_from_limits([UNARY]);
    let (_server, client) = start(server).await;
    for _ in 0..3 {
        client.unary(task("exempt")).await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let server = Server::builder().limits(one_at_a_time(Duration::from_millis(1)));
    let (_server, client) = start(server).await;
    let many = Task {
        count: 1,
        hang: true,
        ..task("stream")
    };
    let mut stream = client.server_stream(many).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let refused = client.unary(task("second")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    drop(stream);
    while client.unary(task("second")).await.is_err() {}
}

#[tokio::test]
async fn streams_do_not_fill_an_adaptive_limit() {
    let adaptive = AdaptiveLimit {
        initial: 1,
        min: 1,
        max: 1,
        ..AdaptiveLimit::default()
    };
    let (_server, client) = start(Server::builder().limits(Limits {
        adaptive: Some(adaptive),
        ..Limits::default()
    }))
    .await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let many = Task {
            count: 1,
            hang: true,
            ..task("stream")
        };
        let mut stream = client.server_stream(many).await.unwrap().into_inner();
        stream.message().await.unwrap().unwrap();
        streams.push(stream);
    }
    client.unary(task("unary")).await.unwrap();
}

#[tokio::test]
async fn limits_that_are_not_valid_are_told_before_anything_is_served() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits {
        max_concurrent_calls: Some(0),
        ..Limits::default()
    };
    let served = Server::builder().limits(limits).serve(listener).await;
    assert_eq!(served.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn limits_of_what_is_not_served_are_told_before_anything_is_served() {
    for (name, help) in [
        ("probe.Prob", "did you mean probe.Probe?"),
        ("/probe.Probe/Unari", "did you mean probe.Probe/Unary?"),
        (
            "Unary",
            "these are served: grpc.health.v1.Health, probe.Probe",
        ),
    ] {
        let server = Server::builder().add_service(service().0);
        let server = server.method_limits(name, Limits::default());
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let status = server.serve(listener).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let name = name.trim_start_matches('/');
        assert!(status.message().contains(name), "{status}");
        assert!(status.message().contains(help), "{status}");
    }
}

#[tokio::test]
async fn a_method_may_be_named_by_its_path() {
    let path = format!("/{UNARY}");
    let server = Server::builder().method_limits(path, one_call(0.001));
    let (_server, client) = start(server).await;
    client.unary(task("first")).await.unwrap();
    let status = client.unary(task("second")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn an_adaptive_limit_as_the_guide_has_it_lets_calls_through() {
    let limits = Limits {
        adaptive: Some(AdaptiveLimit::default()),
        ..Limits::default()
    };
    let server = Server::builder().limits(limits);
    let (_server, client) = start(server).await;
    client.unary(task("unary")).await.unwrap();
}
