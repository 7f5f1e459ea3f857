//! Panics of what a user wrote: each ends its call alone, with INTERNAL, and says no more to the caller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_stream::stream;
use tracing::field::{Field, Visit};
use tracing::span::{Id, Record};
use tracing::{Event, Level};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use wireloom::{
    Code, InterceptedCall, Interceptor, MessageStream, Next, Request, Response, Server, Status,
    Streaming,
};

use crate::support::{Outcome, Probe, ProbeClient, ProbeServer, Task, task};

/// What the panics say.
const SECRET: &str = "the secret";

type Fields = BTreeMap<&'static str, String>;

/// The errors that are logged, each with the name of its span, and what is recorded in spans later.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(String, Fields)>>>);

struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut fields = Fields::new();
            event.record(&mut Read(&mut fields));
            let span = context.event_span(event).expect("it is within a span");
            self.0
                .lock()
                .unwrap()
                .push((span.name().to_owned(), fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        values.record(&mut Read(&mut fields));
        let span = context.span(id).unwrap();
        self.0
            .lock()
            .unwrap()
            .push((span.name().to_owned(), fields));
    }
}

/// Panics where each of its methods can.
struct Panicking;

impl Probe for Panicking {
    async fn unary(&self, request: Request<Task>) -> Result<Response<Outcome>, Status> {
        match request.get_ref().name.as_str() {
            "well" => Ok(Response::new(Outcome::default())),
            _ => panic!("{SECRET}"),
        }
    }

    async fn retried(&self, _: Request<Task>) -> Result<Response<Outcome>, Status> {
        tokio::task::yield_now().await;
        panic!("{SECRET}")
    }

    async fn server_stream(
        &self,
        request: Request<Task>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let count = request.get_ref().count;
        Ok(Response::new(stream! {
            for _ in 0..count {
                yield Ok(Outcome::default());
            }
            tokio::task::yield_now().await;
            panic!("{SECRET}");
        }))
    }

    async fn client_stream(
        &self,
        requests: Request<Streaming<Task>>,
    ) -> Result<Response<Outcome>, Status> {
        requests.into_inner().message().await?;
        panic!("{SECRET}")
    }

    async fn bidi(
        &self,
        requests: Request<Streaming<Task>>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let mut requests = requests.into_inner();
        Ok(Response::new(stream! {
            yield Ok(Outcome::default());
            let _ = requests.message().await;
            panic!("{SECRET}");
        }))
    }
}

struct PanickingInterceptor;

impl Interceptor for PanickingInterceptor {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let panics = call.full_name().ends_with("/Retried");
        let response = next.run(call).await;
        assert!(!panics, "{SECRET}");
        response
    }
}

fn client(server: Server) -> ProbeClient {
    let server = server.add_service(ProbeServer::new(Panicking));
    ProbeClient::new(wireloom::Channel::in_process(server).lazy().unwrap())
}

fn assert_says_nothing(status: &Status) {
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert_eq!(status.message(), "the handler panicked");
}

async fn all_messages(messages: Response<Streaming<Outcome>>) -> (usize, Status) {
    let mut messages = messages.into_inner();
    for count in 0.. {
        match messages.message().await {
            Ok(message) => assert!(message.is_some(), "the stream has an end"),
            Err(status) => return (count, status),
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_panic_of_each_kind_of_method_is_internal_for_its_call_alone() {
    let client = client(Server::builder());
    assert_says_nothing(&client.unary(task("a")).await.unwrap_err());
    assert_says_nothing(&client.retried(task("a")).await.unwrap_err());
    let requests = || wireloom::tokio_stream::iter([task("a")]);
    assert_says_nothing(&client.client_stream(requests()).await.unwrap_err());
    assert_says_nothing(&client.server_stream(task("a")).await.unwrap_err());
    let two = Task {
        count: 2,
        ..task("a")
    };
    let (count, status) = all_messages(client.server_stream(two).await.unwrap()).await;
    assert_eq!(count, 2);
    assert_says_nothing(&status);
    let (count, status) = all_messages(client.bidi(requests()).await.unwrap()).await;
    assert_eq!(count, 1);
    assert_says_nothing(&status);
    client.unary(task("well")).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_an_interceptor_is_internal_for_its_call_alone() {
    let client = client(Server::builder().interceptor(PanickingInterceptor));
    assert_says_nothing(&client.retried(task("a")).await.unwrap_err());
    client.unary(task("well")).await.unwrap();
}

#[tokio::test]
async fn a_panic_marks_the_calls_span_and_is_logged_in_it_with_its_message() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    client(Server::builder())
        .unary(task("a"))
        .await
        .unwrap_err();
    drop(guard);
    let log = log.0.lock().unwrap();
    let served: Vec<_> = log.iter().filter(|(span, _)| span == "serve").collect();
    let says = |name: &str, value: &str| {
        let said = served.iter().filter_map(|(_, fields)| fields.get(name));
        assert_eq!(said.collect::<Vec<_>>(), [value], "{name}");
    };
    says("message", "a handler panicked");
    says("method", "probe.Probe/Unary");
    says("exception.type", "panic");
    says("exception.message", SECRET);
    says("otel.status_code", "ERROR");
    says("error.type", "INTERNAL");
}
