//! What a log tells of how a server begins and ends, and of calls and connections that it ends.

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_layer::layer_fn;
use wireloom::server::{Call, Reply, Service};
use wireloom::{Channel, Code, Method, MethodDescriptor, Server};

use crate::events::Events;
use crate::support::{Event, ProbeClient, Setup, Task, TestServer, in_process_on, service, task};

const SECOND: Duration = Duration::from_secs(1);

fn hanging() -> Task {
    Task {
        hang: true,
        ..task("a")
    }
}

/// Their messages have one field: the name of a service, a number.
static WATCH: Method<String, i32> = Method::server_streaming("/grpc.health.v1.Health/Watch");

/// A client of such a server in this process; nothing of it waits for a network.
fn client(server: Server) -> ProbeClient {
    let (channel, _) = in_process_on(server);
    ProbeClient::new(channel.lazy().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ran_past_its_deadline_is_told_of() {
    let (events, _guard) = Events::listen();
    let client = client(Server::builder().default_timeout(SECOND));
    let told = |method| {
        vec![format!(
            "DEBUG a call ran past its deadline method=\"probe.Probe/{method}\""
        )]
    };
    let call = client.unary(hanging()).no_timeout();
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(events.with("deadline"), told("Unary"));

    let one_message = Task {
        count: 1,
        ..hanging()
    };
    let call = client.server_stream(one_message).no_timeout();
    let mut outcomes = call.await.unwrap().into_inner();
    outcomes.message().await.unwrap().unwrap();
    let status = outcomes.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(events.with("deadline"), told("ServerStream"));

    client.unary(task("a")).await.unwrap();
    assert_eq!(events.with("deadline"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_in_a_layer_past_its_deadline_is_told_of_once() {
    let (events, _guard) = Events::listen();
    let layer = layer_fn(|_| {
        tower::service_fn(|_: http::Request<wireloom::server::Body>| {
            std::future::pending::<Result<http::Response<wireloom::server::Body>, wireloom::Status>>(
            )
        })
    });
    let client = client(Server::builder().layer(layer).default_timeout(SECOND));
    let call = client.unary(task("a")).no_timeout();
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    let told = "DEBUG a call ran past its deadline method=\"probe.Probe/Unary\"";
    assert_eq!(events.with("deadline"), [told]);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_by_which_setting_a_connection_ends() {
    let (events, _guard) = Events::listen();
    let limited = Server::builder;
    for (server, setting) in [
        (limited().max_connection_age(SECOND), "max_connection_age"),
        (limited().max_connection_idle(SECOND), "max_connection_idle"),
    ] {
        let client = client(server);
        client.unary(task("a")).await.unwrap();
        // Its next connection lasts longer than that.
        tokio::time::sleep(SECOND * 3 / 2).await;
        let told =
            format!("DEBUG a connection is told to go away peer=InProcess limit=\"{setting}\"");
        assert_eq!(events.with("a connection"), [told]);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_outlast_the_grace_are_told_of() {
    let (events, _guard) = Events::listen();
    let server = Server::builder()
        .max_connection_age(SECOND)
        .max_connection_age_grace(SECOND);
    let call = client(server).unary(hanging()).no_retry();
    assert_eq!(call.await.unwrap_err().code(), Code::Unavailable);
    let told = [
        "DEBUG what is left of a connection is cut off peer=InProcess limit=\"max_connection_age_grace\"",
        "DEBUG a call was cut off method=\"probe.Probe/Unary\"",
    ];
    assert_eq!(events.with("cut off"), told);
}

#[tokio::test]
async fn a_shutdown_is_told_of_as_it_begins_and_ends() {
    let (events, _guard) = Events::listen();
    let setup = Setup {
        server: Server::builder().lame_duck_time(Duration::from_millis(1)),
        shutdown_timeout: Duration::from_millis(50),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    let client = server.client().await;
    let call = tokio::spawn(client.unary(hanging()).no_retry().into_future());
    assert_eq!(server.event().await, Event::Started("a".into()));
    server.stopped().await;
    let told = events.with("INFO shut");
    let [begin, end] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        begin,
        "INFO shutting down by=\"serve_with_shutdown\" lame_duck_time=1ms shutdown_timeout=50ms calls=1"
    );
    assert!(end.starts_with("INFO shut down took="), "{end}");
    assert!(end.ends_with(" finished_calls=0 cut_off_calls=1"), "{end}");
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_shutdown_tells_how_many_calls_ended_in_time() {
    let (events, _guard) = Events::listen();
    let mut server = TestServer::start(Setup::default()).await;
    let client = server.client().await;
    let call = tokio::spawn(client.unary(hanging()).no_timeout().into_future());
    assert_eq!(server.event().await, Event::Started("a".into()));
    server.stop();
    // It drains once it takes no connection any more.
    while Channel::connect(&server.target).await.is_ok() {
        tokio::task::yield_now().await;
    }
    call.abort();
    server.stopped().await;
    let told = events.with("INFO shut down");
    assert!(
        told[0].ends_with("finished_calls=1 cut_off_calls=0"),
        "{told:?}"
    );
}

#[tokio::test]
async fn that_a_server_lets_those_go_that_watch_it_is_nothing_to_tell() {
    let (events, _guard) = Events::listen();
    let server = TestServer::start(Setup::default()).await;
    let channel = Channel::connect(&server.target).await.unwrap();
    let health = channel.server_streaming(&WATCH, String::new());
    let mut health = health.await.unwrap().into_inner();
    health.message().await.unwrap().unwrap();
    server.stopped().await;
    while let Ok(Some(_)) = health.message().await {}
    assert_eq!(events.with("cut off"), [""; 0]);
}

/// What is told with `part` of a peer that says this, and then waits.
async fn told_of(server: Server, says: &[u8], part: &str) -> String {
    let (events, _guard) = Events::listen();
    let setup = Setup {
        server,
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let address = server.target.strip_prefix("http://").unwrap();
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(says).await.unwrap();
    // It is closed, in whichever way.
    let _ = peer.read_to_end(&mut Vec::new()).await;
    let [told] = events.with(part).try_into().unwrap();
    told
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn a_peer_that_does_not_begin_to_speak_is_told_of() {
    for says in [b"".as_slice(), PREFACE] {
        let server = Server::builder().handshake_timeout(Duration::from_millis(50));
        let told = told_of(server, says, "has not begun to speak").await;
        assert!(told.contains("handshake_timeout"), "{told}");
    }
}

#[tokio::test]
async fn a_peer_that_is_cut_off_is_told_of_with_the_setting_that_allows_no_more() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let says = [PREFACE, &SETTINGS.repeat(2000)].concat();
    let told = told_of(Server::builder(), &says, "a peer is cut off").await;
    assert!(told.contains("peer=Tcp(127.0.0.1:"), "{told}");
    assert!(told.ends_with("limit=\"control_frame_budget\""), "{told}");
}

/// A service whose requests have rules.
struct Orders;

static PLACE: Method<String, String> = Method::unary("/shop.Orders/Place").with_request_rules();

impl Service for Orders {
    const NAME: &'static str = "shop.Orders";
    const METHODS: &'static [&'static MethodDescriptor] = &[PLACE.descriptor()];

    async fn call(&self, call: Call) -> Reply {
        call.unimplemented()
    }
}

#[tokio::test]
async fn rules_that_requests_are_not_held_to_are_told_of_with_their_services() {
    let (events, _guard) = Events::listen();
    let told = |server: Server| {
        let (service, _events) = service();
        let server = server.add_service(service).add_service(Orders);
        let _channel = Channel::in_process(server).lazy().unwrap();
        events.with("rules")
    };
    let warning = &told(Server::builder())[0];
    assert!(warning.starts_with("WARN requests are not held to the rules"));
    assert!(warning.contains("`Server::validation`"), "{warning}");
    assert!(warning.ends_with(" services=\"shop.Orders\""), "{warning}");
    assert_eq!(told(Server::builder().without_validation()), [""; 0]);
    // There is nobody there who could say it.
    let _channel = Channel::from_service(Orders);
    assert_eq!(events.with("rules"), [""; 0]);
}
