//! Runtimes of a server's own, of one thread each.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use wireloom::server::{Listener, Runtimes};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{Event, ProbeClient, Setup, Task, TestServer, service, task};

/// Sends the name of the thread that serves a call back, which it makes known by several ways first.
struct TellThread;

impl Interceptor for TellThread {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let by = call.metadata().get("by").cloned();
        let thread = match by.as_ref().map(|by| by.as_bytes()) {
            Some(b"spawn") => tokio::spawn(async { thread() }).await.unwrap(),
            Some(b"spawn_blocking") => tokio::task::spawn_blocking(|| {
                std::thread::sleep(Duration::from_millis(10));
                thread()
            })
            .await
            .unwrap(),
            Some(b"block_in_place") => tokio::task::block_in_place(thread),
            _ => thread(),
        };
        let mut response = next.run(call).await?;
        let metadata = response.metadata_mut();
        metadata.insert("thread", thread.parse().unwrap());
        Ok(response)
    }
}

fn thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

fn two() -> Runtimes {
    Runtimes::Threads(NonZeroUsize::new(2).unwrap())
}

async fn serve() -> TestServer {
    TestServer::start(Setup {
        server: Server::builder().runtimes(two()).interceptor(TellThread),
        shutdown_timeout: Duration::from_millis(50),
        ..Setup::default()
    })
    .await
}

async fn thread_of(client: &ProbeClient, by: &str) -> String {
    let response = client.unary(task("a")).metadata("by", by).await.unwrap();
    let thread = response.metadata().get("thread").unwrap();
    thread.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn connections_are_spread_evenly_over_the_runtimes() {
    let server = serve().await;
    let mut clients = Vec::new();
    let mut connections = BTreeMap::<_, u32>::new();
    for _ in 0..6 {
        let client = server.client().await;
        *connections.entry(thread_of(&client, "").await).or_default() += 1;
        clients.push(client);
    }
    let expected = [("wireloom-0".to_owned(), 3), ("wireloom-1".to_owned(), 3)];
    assert_eq!(connections, expected.into());
}

#[tokio::test]
async fn a_runtime_whose_connections_have_ended_gets_the_next() {
    let server = serve().await;
    let first = server.client().await;
    let second = server.client().await;
    let of_first = thread_of(&first, "").await;
    let of_second = thread_of(&second, "").await;
    assert_ne!(of_first, of_second);
    drop(second);
    // The server learns of it in a moment; until then, both runtimes have as many.
    let next_is_second = async {
        loop {
            let next = server.client().await;
            if thread_of(&next, "").await == of_second {
                let another = server.client().await;
                break thread_of(&another, "").await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), next_is_second)
        .await
        .expect("a connection on the thread of the one that ended");
}

#[tokio::test]
async fn spawned_work_stays_on_its_runtime_and_blocking_work_leaves_it() {
    let server = serve().await;
    let client = server.client().await;
    let own = thread_of(&client, "").await;
    assert!(own.starts_with("wireloom-"), "{own}");
    assert_eq!(thread_of(&client, "spawn").await, own);
    assert_ne!(thread_of(&client, "spawn_blocking").await, own);
}

#[tokio::test]
async fn blocking_in_place_ends_the_call_and_no_other() {
    let server = serve().await;
    let client = server.client().await;
    let call = client.unary(task("a")).metadata("by", "block_in_place");
    assert_eq!(call.no_retry().await.unwrap_err().code(), Code::Internal);
    client.unary(task("after it")).await.unwrap();
}

/// Keeps the thread of a call until it is told to go on.
struct KeepThread(Mutex<mpsc::Receiver<()>>);

impl Interceptor for KeepThread {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let response = next.run(call).await;
        let _ = self.0.lock().unwrap().recv();
        response
    }
}

#[tokio::test]
async fn connections_that_wait_for_a_blocked_thread_count() {
    let (go_on, told) = mpsc::channel();
    let mut server = TestServer::start(Setup {
        server: Server::builder()
            .runtimes(Runtimes::Threads(NonZeroUsize::MIN))
            .interceptor(KeepThread(Mutex::new(told)))
            .max_connections(3),
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    let call = tokio::spawn(async move { client.unary(task("a")).await });
    assert_eq!(server.event().await, Event::Started("a".into()));

    let address = server.target.strip_prefix("http://").unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..8 {
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut read = [0; 10];
        let closed = tokio::time::timeout(Duration::from_secs(10), refused.read(&mut read));
        assert_eq!(closed.await.expect("it is closed").unwrap_or(0), 0);
    }
    go_on.send(()).unwrap();
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_of_all_runtimes_are_cut_off_and_counted() {
    let mut server = serve().await;
    let mut calls = Vec::new();
    for name in ["a", "b"] {
        let client = server.client().await;
        let hanging = Task {
            hang: true,
            ..task(name)
        };
        calls.push(tokio::spawn(async move {
            client.unary(hanging).no_retry().await
        }));
        assert_eq!(server.event().await, Event::Started(name.into()));
    }
    assert_eq!(server.stopped().await.cut_off_calls, 2);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn a_shared_port_is_listened_on_by_each_runtime() {
    let listener = Listener::bind_shared("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let (service, _events) = service();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::builder()
        .runtimes(two())
        .interceptor(TellThread)
        .add_service(service);
    let served = tokio::spawn(server.serve_with_shutdown(listener, async {
        let _ = stopped.await;
    }));
    let mut threads = BTreeMap::<_, u32>::new();
    // The system spreads them by chance: that all of so many are on one of two is none.
    for _ in 0..64 {
        let client = ProbeClient::connect(&target).await.unwrap();
        *threads.entry(thread_of(&client, "").await).or_default() += 1;
    }
    assert_eq!(threads.len(), 2, "{threads:?}");
    drop(stop);
    served.await.unwrap().unwrap();
    assert!(wireloom::Channel::connect(&target).await.is_err());
}
