//! Handlers that keep the thread they run on.

use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;

use async_stream::stream;
use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use wireloom::server::{Call, Reply, Service};
use wireloom::{Channel, Method, Request, Response, Server};

static WAIT: Method<String, String> = Method::unary("/test.Blocking/Wait");
static MANY: Method<String, String> = Method::server_streaming("/test.Blocking/Many");

/// What is reported, in the whole process: what reports is a thread of its own.
static REPORTS: LazyLock<broadcast::Sender<Report>> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Events).unwrap();
    broadcast::Sender::new(1000)
});

#[derive(Clone, Debug, Default)]
struct Report {
    message: String,
    method: String,
    blocked_ms: u64,
}

impl Visit for Report {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "method" {
            self.method = value.to_owned();
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "blocked_ms" {
            self.blocked_ms = value;
        }
    }
}

struct Events;

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut report = Report::default();
        event.record(&mut report);
        let _ = REPORTS.send(report);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Blocks its thread until it is told to go on: in the handler, and in the stream that the handler returns.
struct Blocking(Arc<Mutex<mpsc::Receiver<()>>>);

impl Service for Blocking {
    const NAME: &'static str = "test.Blocking";

    async fn call(&self, call: Call) -> Reply {
        let wait = Arc::clone(&self.0);
        let block = move || wait.lock().unwrap().recv().unwrap();
        match call.path() {
            "/test.Blocking/Wait" => {
                call.unary(&WAIT, async |_: Request<String>| {
                    block();
                    Ok(Response::new("done".to_owned()))
                })
                .await
            }
            _ => {
                call.server_streaming(&MANY, async |_: Request<String>| {
                    Ok(Response::new(stream! {
                        block();
                        yield Ok("done".to_owned());
                    }))
                })
                .await
            }
        }
    }
}

/// A server whose handler blocks until something is sent, and what is reported of `method`.
struct Blocked {
    channel: Channel,
    go: mpsc::Sender<()>,
    reports: broadcast::Receiver<Report>,
    method: &'static str,
}

impl Blocked {
    fn new(method: &'static str) -> Self {
        let reports = REPORTS.subscribe();
        let (go, wait) = mpsc::channel();
        let server = Server::builder()
            .blocking_threshold(Duration::from_millis(50))
            .add_service(Blocking(Arc::new(Mutex::new(wait))));
        Self {
            channel: Channel::in_process(server).lazy().unwrap(),
            go,
            reports,
            method,
        }
    }

    async fn report(&mut self) -> Report {
        let report = async {
            loop {
                let report = self.reports.recv().await.unwrap();
                if report.method == self.method {
                    return report;
                }
            }
        };
        let report = tokio::time::timeout(Duration::from_secs(20), report).await;
        report.expect("a report")
    }

    /// Is told of while it blocks, and once it does no longer.
    async fn is_reported(&mut self) {
        let report = self.report().await;
        assert_eq!(
            report.message,
            "a handler blocks the thread that it runs on"
        );
        assert!(report.blocked_ms >= 50, "{report:?}");
        self.go.send(()).unwrap();
        let report = self.report().await;
        assert_eq!(report.message, "the handler let go of its thread");
        assert!(report.blocked_ms >= 50, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_is_reported_by_name_while_it_blocks() {
    let mut blocked = Blocked::new("test.Blocking/Wait");
    let channel = blocked.channel.clone();
    let call = tokio::spawn(async move { channel.unary(&WAIT, String::new()).await });
    blocked.is_reported().await;
    call.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_blocks_its_thread_is_reported_by_name_while_it_blocks() {
    let mut blocked = Blocked::new("test.Blocking/Many");
    let channel = blocked.channel.clone();
    let call = tokio::spawn(async move { channel.server_streaming(&MANY, String::new()).await });
    blocked.is_reported().await;
    call.await.unwrap().unwrap();
}
