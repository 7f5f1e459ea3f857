use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use wireloom::{Channel, Code};

use crate::support::{ProbeClient, Setup, Task, TestServer, task};

/// The spans of a test, with their fields as text.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, Span>>>);

#[derive(Clone, Debug)]
struct Span {
    name: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context
            .span(id)
            .and_then(|span| span.parent().map(|parent| parent.id().into_u64()));
        let mut span = Span {
            name: attributes.metadata().name(),
            parent,
            fields: BTreeMap::new(),
            closed: false,
        };
        attributes.record(&mut span);
        self.0.lock().unwrap().insert(id.into_u64(), span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(span) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(span);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(span) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            span.closed = true;
        }
    }
}

impl Spans {
    fn named(&self, name: &str) -> Vec<(u64, Span)> {
        let spans = self.0.lock().unwrap();
        spans
            .iter()
            .filter(|(_, span)| span.name == name)
            .map(|(id, span)| (*id, span.clone()))
            .collect()
    }
}

/// Runs `test` with a subscriber that keeps spans, for all tasks: the runtime of a test has one thread.
async fn traced(test: impl Future<Output = ()>) -> Spans {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let _default = tracing::subscriber::set_default(subscriber);
    test.await;
    spans
}

#[tokio::test]
async fn the_spans_of_a_channel_s_first_call_close_while_the_channel_lives() {
    let mut kept = None;
    let spans = traced(async {
        let server = TestServer::start(Setup::default()).await;
        let client = ProbeClient::new(Channel::lazy(&server.target).unwrap());
        client.unary(task("a")).await.unwrap();
        kept = Some((server, client));
    })
    .await;
    for name in ["call", "attempt"] {
        let [(_, span)] = spans.named(name).try_into().unwrap();
        assert!(span.closed, "{name}");
    }
}

#[tokio::test]
async fn rule_53_a_call_has_one_span_and_each_attempt_has_one_below_it() {
    let spans = traced(async {
        let server = TestServer::start(Setup::default()).await;
        let failing = Task {
            code: Code::Unavailable as i32,
            failing_attempts: 1,
            ..task("a")
        };
        server.client().await.retried(failing).await.unwrap();
    })
    .await;

    let [(call_id, call)] = spans.named("call").try_into().unwrap();
    assert_eq!(call.fields["otel.name"], "probe.Probe/Retried");
    assert_eq!(call.fields["otel.kind"], "client");
    assert_eq!(call.fields["rpc.system.name"], "grpc");
    assert_eq!(call.fields["rpc.method"], "probe.Probe/Retried");
    assert_eq!(call.fields["rpc.response.status_code"], "OK");

    let [(first_id, first), (_, second)] = spans.named("attempt").try_into().unwrap();
    assert_ne!(first_id, call_id);
    for (attempt, previous, code) in [(&first, "0", "UNAVAILABLE"), (&second, "1", "OK")] {
        assert_eq!(attempt.parent, Some(call_id));
        assert_eq!(attempt.fields["previous-rpc-attempts"], previous);
        assert_eq!(attempt.fields["transparent-retry"], "false");
        assert_eq!(attempt.fields["rpc.response.status_code"], code);
        assert_eq!(attempt.fields["trace_id"], call.fields["trace_id"]);
    }
    assert_eq!(first.fields["error.type"], "UNAVAILABLE");
}

#[tokio::test]
async fn a_trace_crosses_hops_from_attempt_to_server_span() {
    let spans = traced(async {
        let last = TestServer::start(Setup::default()).await;
        let first = TestServer::start(Setup {
            next_hop: Some(last.client().await),
            ..Setup::default()
        })
        .await;
        let handed_on = Task {
            hops: 1,
            ..task("a")
        };
        let outcome = first
            .client()
            .await
            .unary(handed_on)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(outcome.trace_id.len(), 32);
    })
    .await;

    let all: Vec<_> = ["call", "attempt", "serve"]
        .into_iter()
        .flat_map(|name| spans.named(name))
        .collect();
    assert_eq!(all.len(), 6, "{all:#?}");
    let trace = &all[0].1.fields["trace_id"];
    assert!(
        all.iter()
            .all(|(_, span)| &span.fields["trace_id"] == trace),
        "{all:#?}"
    );

    // Each server span is the child of an attempt, each call but the first the child of a server span.
    let ids = |name: &str| {
        spans
            .named(name)
            .into_iter()
            .map(|(_, span)| span.fields["span_id"].clone())
    };
    let parents = |name: &str| {
        spans
            .named(name)
            .into_iter()
            .filter_map(|(_, span)| span.fields.get("parent_span_id").cloned())
    };
    let mut attempts: Vec<_> = ids("attempt").collect();
    let mut served_by: Vec<_> = parents("serve").collect();
    attempts.sort();
    served_by.sort();
    assert_eq!(attempts, served_by);
    let [parent] = Vec::from_iter(parents("call")).try_into().unwrap();
    assert!(ids("serve").any(|id| id == parent));
}

#[tokio::test]
async fn a_call_that_fails_marks_its_span_and_a_callers_fault_leaves_the_servers_alone() {
    let spans = traced(async {
        let server = TestServer::start(Setup::default()).await;
        let failing = Task {
            code: Code::NotFound as i32,
            ..task("a")
        };
        server.client().await.unary(failing).await.unwrap_err();
    })
    .await;

    let [(_, call)] = spans.named("call").try_into().unwrap();
    assert_eq!(call.fields["rpc.response.status_code"], "NOT_FOUND");
    assert_eq!(call.fields["otel.status_code"], "ERROR");
    let [(_, served)] = spans.named("serve").try_into().unwrap();
    assert_eq!(served.fields["rpc.response.status_code"], "NOT_FOUND");
    assert!(!served.fields.contains_key("otel.status_code"));
}
