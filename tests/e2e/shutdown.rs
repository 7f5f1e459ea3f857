use std::future::IntoFuture as _;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use wireloom::server::Runtimes;
use wireloom::tokio_stream::wrappers::ReceiverStream;
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{Event, Setup, Task, TestServer, serve, task};

#[tokio::test]
async fn an_idle_server_stops_at_once_though_its_clients_stay_connected() {
    let (server, client) = serve().await;
    client.unary(task("a")).await.unwrap();
    assert_eq!(server.stopped().await.cut_off_calls, 0);
}

#[tokio::test]
async fn calls_under_way_end_while_the_server_drains() {
    let (mut server, client) = serve().await;
    let (tasks, queue) = tokio::sync::mpsc::channel(1);
    let mut outcomes = client
        .bidi(ReceiverStream::new(queue))
        .await
        .unwrap()
        .into_inner();
    tasks.send(task("before")).await.unwrap();
    outcomes.message().await.unwrap().unwrap();

    server.stop();
    // A new connection is refused once the server has stopped accepting.
    while client_connects(&server.target).await {
        tokio::task::yield_now().await;
    }
    tasks.send(task("while draining")).await.unwrap();
    assert_eq!(
        outcomes.message().await.unwrap().unwrap().name,
        "while draining"
    );
    drop(tasks);
    assert_eq!(outcomes.message().await.unwrap(), None);
    assert_eq!(server.stopped().await.cut_off_calls, 0);
}

async fn client_connects(target: &str) -> bool {
    wireloom::Channel::connect(target).await.is_ok()
}

#[tokio::test]
async fn calls_that_hang_are_cut_off_at_the_limit() {
    let setup = Setup {
        shutdown_timeout: Duration::from_millis(50),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    let client = server.client().await;
    let hanging = Task {
        hang: true,
        ..task("unary")
    };
    let unary = tokio::spawn(client.unary(hanging).into_future());
    assert_eq!(server.event().await, Event::Started("unary".into()));
    let hanging = Task {
        count: 1,
        hang: true,
        ..task("stream")
    };
    let mut responses = client.server_stream(hanging).await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();

    assert_eq!(server.stopped().await.cut_off_calls, 2);
    assert_eq!(unary.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(
        responses.message().await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn a_peer_that_never_speaks_does_not_hold_up_the_shutdown() {
    let (server, _client) = serve().await;
    let address = server.target.strip_prefix("http://").unwrap();
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(server.stopped().await.cut_off_calls, 0);
}

/// Blocks the thread that polls a call first.
struct BlockThread;

impl Interceptor for BlockThread {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let response = next.run(call).await;
        std::thread::sleep(Duration::from_secs(5));
        response
    }
}

/// How long a server takes to shut down at once while a handler blocks its thread.
async fn stops_beside_a_blocked_thread(server: Server) -> Duration {
    let mut server = TestServer::start(Setup {
        server: server.interceptor(BlockThread),
        shutdown_timeout: Duration::ZERO,
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    let call = tokio::spawn(client.unary(task("a")).no_retry().into_future());
    assert_eq!(server.event().await, Event::Started("a".into()));
    let begun = Instant::now();
    assert_eq!(server.stopped().await.cut_off_calls, 1);
    call.abort();
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_does_not_hold_up_the_end_of_a_shutdown() {
    let took = stops_beside_a_blocked_thread(Server::builder()).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_handler_that_blocks_a_runtime_of_the_server_s_own_does_not_either() {
    let server = Server::builder().runtimes(Runtimes::Threads(NonZeroUsize::MIN));
    let took = stops_beside_a_blocked_thread(server).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}
