use std::sync::{Arc, Mutex};

use wireloom::server::PeerAddr;
use wireloom::tokio_stream as stream;
use wireloom::{CallObserver, Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{Event, ProbeClient, Setup, Task, TestServer, task};

async fn serve(interceptor: impl Interceptor) -> (TestServer, ProbeClient) {
    let server = TestServer::start(Setup {
        server: Server::builder().interceptor(interceptor),
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    (server, client)
}

/// Lets calls pass that have the token.
struct Guard;

impl Interceptor for Guard {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        if call.metadata().get("authorization").is_none() {
            return Err(Status::unauthenticated("there is no token"));
        }
        let from = call
            .extensions()
            .get::<PeerAddr>()
            .map(|peer| format!("{peer:?}"));
        call.metadata_mut()
            .insert("echo-by", "guard".parse().unwrap());
        let mut response = next.run(call).await?;
        let from = from.expect("a server knows its peer");
        response
            .metadata_mut()
            .insert("from", from.parse().unwrap());
        Ok(response)
    }
}

#[tokio::test]
async fn a_server_s_interceptor_ends_a_call_before_its_handler() {
    let (mut server, client) = serve(Guard).await;
    let status = client.unary(task("refused")).no_retry().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "there is no token")
    );
    client
        .unary(task("let in"))
        .metadata("authorization", "Bearer x")
        .await
        .unwrap();
    assert_eq!(server.event().await, Event::Started("let in".into()));
}

#[tokio::test]
async fn a_server_s_interceptor_changes_metadata_both_ways() {
    let (_server, client) = serve(Guard).await;
    let call = client
        .unary(task("a"))
        .metadata("authorization", "Bearer x");
    let response = call.await.unwrap();
    assert_eq!(response.metadata().get("echo-by").unwrap(), "guard");
    let from = response.metadata().get("from").unwrap().to_str().unwrap();
    assert!(from.contains("127.0.0.1"), "{from}");
}

/// Observes every call.
#[derive(Clone, Default)]
struct Observer {
    log: Arc<Mutex<Vec<String>>>,
    ended: Arc<tokio::sync::Notify>,
}

impl Observer {
    /// What was seen of a call, once it has ended.
    async fn of_call(&self) -> Vec<String> {
        self.ended.notified().await;
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn add(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }
}

impl CallObserver for Observer {
    fn message_sent(&self, size: usize) {
        self.add(format!("sent {size}"));
    }

    fn message_received(&self, size: usize) {
        self.add(format!("received {size}"));
    }

    fn ended(&self, status: &Status) {
        self.add(format!("ended {:?}: {}", status.code(), status.message()));
        self.ended.notify_one();
    }
}

impl Interceptor for Observer {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        self.add(format!(
            "{} with deadline: {}",
            call.full_name(),
            call.deadline().is_some()
        ));
        call.observe(self.clone());
        next.run(call).await
    }
}

#[tokio::test]
async fn a_server_s_interceptor_sees_each_message_and_the_final_status() {
    let observer = Observer::default();
    let (_server, client) = serve(observer.clone()).await;
    client.unary(task("a")).await.unwrap();
    let seen = observer.of_call().await;
    assert_eq!(seen[0], "probe.Probe/Unary with deadline: true");
    assert_eq!(seen[1], "received 3");
    assert!(seen[2].starts_with("sent "), "{seen:?}");
    assert_eq!(seen[3], "ended Ok: ");

    let failing = Task {
        code: Code::Aborted as i32,
        ..task("b")
    };
    let tasks = stream::iter([task("a"), failing]);
    let mut outcomes = client.bidi(tasks).await.unwrap().into_inner();
    while let Ok(Some(_)) = outcomes.message().await {}
    let seen = observer.of_call().await;
    assert_eq!(seen[0], "probe.Probe/Bidi with deadline: false");
    assert_eq!(seen.last().unwrap(), "ended Aborted: as told");
    let count = |what: &str| seen.iter().filter(|seen| seen.starts_with(what)).count();
    assert_eq!((count("received"), count("sent"), seen.len()), (2, 1, 5));
}

#[tokio::test]
async fn an_outer_interceptor_of_a_server_sees_the_calls_that_an_inner_one_ends() {
    let observer = Observer::default();
    let server = TestServer::start(Setup {
        server: Server::builder()
            .interceptor(observer.clone())
            .interceptor(Guard),
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    client.unary(task("refused")).no_retry().await.unwrap_err();
    let seen = observer.of_call().await;
    assert_eq!(
        seen.last().unwrap(),
        "ended Unauthenticated: there is no token"
    );
}

#[tokio::test]
async fn a_server_s_interceptor_sees_that_a_caller_went_away() {
    let observer = Observer::default();
    let (mut server, client) = serve(observer.clone()).await;
    let call = client.unary(Task {
        hang: true,
        ..task("a")
    });
    let call = tokio::spawn(std::future::IntoFuture::into_future(call));
    assert_eq!(server.event().await, Event::Started("a".into()));
    call.abort();
    let seen = observer.of_call().await;
    assert_eq!(
        seen.last().unwrap(),
        "ended Cancelled: the caller went away"
    );
}
