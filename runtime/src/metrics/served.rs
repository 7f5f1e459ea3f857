//! What is recorded of a server, and of each call that it serves.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter as OtelMeter, UpDownCounter},
};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    Meter, Metrics,
    instruments::{LATENCY, SIZE},
};
use crate::{
    interceptor::{CallObserver, Observers},
    method::MethodDescriptor,
    spans::is_server_error,
    status::code_name,
};

/// The instruments of servers.
pub(super) struct ServerInstruments {
    call_started: Counter<u64>,
    call_duration: Histogram<f64>,
    call_sent: Histogram<u64>,
    call_received: Histogram<u64>,
    rpc_duration: Histogram<f64>,
    active_calls: UpDownCounter<i64>,
    connections: UpDownCounter<i64>,
    refused: Counter<u64>,
    panics: Counter<u64>,
    blocked: Counter<u64>,
}

/// The boundaries that OpenTelemetry's conventions have for the duration of calls, in seconds.
const RPC_DURATION: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

impl ServerInstruments {
    pub(super) fn of(meter: &OtelMeter) -> Self {
        let seconds = |name: &'static str, what: &'static str, boundaries: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram
                .with_description(what)
                .with_boundaries(boundaries.to_vec())
                .build()
        };
        let bytes = |name: &'static str, what: &'static str| {
            let histogram = meter.u64_histogram(name).with_unit("By");
            histogram
                .with_description(what)
                .with_boundaries(SIZE.to_vec())
                .build()
        };
        let counter = |name: &'static str, unit: &'static str, what: &'static str| {
            let counter = meter.u64_counter(name).with_unit(unit);
            counter.with_description(what).build()
        };
        let level = |name: &'static str, unit: &'static str, what: &'static str| {
            let counter = meter.i64_up_down_counter(name).with_unit(unit);
            counter.with_description(what).build()
        };
        Self {
            call_started: counter(
                "grpc.server.call.started",
                "{call}",
                "Number of server calls started",
            ),
            call_duration: seconds(
                "grpc.server.call.duration",
                "End-to-end time taken to complete a call from server transport's perspective",
                &LATENCY,
            ),
            call_sent: bytes(
                "grpc.server.call.sent_total_compressed_message_size",
                "Compressed message bytes sent per server call",
            ),
            call_received: bytes(
                "grpc.server.call.rcvd_total_compressed_message_size",
                "Compressed message bytes received per server call",
            ),
            rpc_duration: seconds(
                "rpc.server.call.duration",
                "Duration of incoming remote procedure calls",
                &RPC_DURATION,
            ),
            active_calls: level(
                "wireloom.server.active_calls",
                "{call}",
                "Number of calls that are being served",
            ),
            connections: level(
                "wireloom.server.connections",
                "{connection}",
                "Number of connections that are open",
            ),
            refused: counter(
                "wireloom.server.refused_calls",
                "{call}",
                "Number of calls that were refused before their handler, by the reason",
            ),
            panics: counter(
                "wireloom.server.panics",
                "{panic}",
                "Number of calls that ended by a panic of their handler",
            ),
            blocked: counter(
                "wireloom.server.blocked_threads",
                "{poll}",
                "Number of times that a handler blocked its thread",
            ),
        }
    }
}

/// Where the meters of a server come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerSource {
    metrics: Option<Metrics>,
    /// The methods that the server has.
    methods: HashSet<&'static str>,
}

impl ServerSource {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics: Some(metrics),
            methods: HashSet::new(),
        }
    }

    /// Takes note of the methods that the server has: their names are used, those of others may be made up.
    pub(crate) fn learn(&mut self, methods: impl Iterator<Item = &'static MethodDescriptor>) {
        if self.metrics.is_some() {
            self.methods = methods.map(MethodDescriptor::full_name).collect();
        }
    }

    /// Begins to meter a call to `method` (`helloworld.Greeter/SayHello`).
    pub(crate) fn call(&self, method: &str) -> ServedMeter {
        ServedMeter(self.metrics.as_ref().map(|metrics| {
            let name = match self.methods.get(method) {
                Some(known) => Cow::Borrowed(*known),
                None if metrics.allows(method) => Cow::Owned(method.to_owned()),
                None => Cow::Borrowed(OTHER),
            };
            let served = Served {
                metrics: metrics.clone(),
                name,
                started: Instant::now(),
                sent: AtomicU64::new(0),
                received: AtomicU64::new(0),
            };
            metrics.server.call_started.add(1, &[served.method()]);
            metrics.server.active_calls.add(1, &[]);
            Arc::new(served)
        }))
    }

    /// Counts a connection, for as long as what it gives is kept.
    pub(crate) fn connection(&self) -> ConnectionMeter {
        if let Some(metrics) = &self.metrics {
            metrics.server.connections.add(1, &[]);
        }
        ConnectionMeter(self.metrics.clone())
    }

    /// Counts a call that no handler sees, for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        if let Some(metrics) = &self.metrics {
            let reason = KeyValue::new("reason", reason);
            metrics.server.refused.add(1, &[reason]);
        }
    }
}

#[derive(Debug)]
pub(crate) struct ConnectionMeter(Option<Metrics>);

impl Drop for ConnectionMeter {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            metrics.server.connections.add(-1, &[]);
        }
    }
}

/// Meters one call that is served.
#[derive(Clone, Debug)]
pub(crate) struct ServedMeter(Option<Arc<Served>>);

#[derive(Debug)]
struct Served {
    metrics: Metrics,
    name: Cow<'static, str>,
    started: Instant,
    sent: AtomicU64,
    received: AtomicU64,
}

impl ServedMeter {
    /// What is told of the call's messages, if that is wanted.
    pub(crate) fn observe(&self, observers: &mut Option<Arc<Observers>>) {
        if let Some(served) = &self.0 {
            let observers = observers.get_or_insert_default();
            observers.add(Box::new(Sizes(Arc::clone(served))));
        }
    }

    pub(crate) fn panicked(&self) {
        if let Some(served) = &self.0 {
            served.metrics.server.panics.add(1, &[served.method()]);
        }
    }

    pub(crate) fn blocked(&self) {
        if let Some(served) = &self.0 {
            served.metrics.server.blocked.add(1, &[served.method()]);
        }
    }
}

impl Meter for ServedMeter {
    fn finish(&mut self, code: Code) {
        if let Some(served) = &self.0 {
            served.finish(code);
        }
    }
}

/// What a method is called that may be made up.
const OTHER: &str = "other";

impl Served {
    fn method(&self) -> KeyValue {
        KeyValue::new("grpc.method", self.name.clone())
    }

    fn finish(&self, code: Code) {
        let instruments = &self.metrics.server;
        let duration = self.started.elapsed().as_secs_f64();
        let status = code_name(code);
        let of = [self.method(), KeyValue::new("grpc.status", status)];
        instruments.call_duration.record(duration, &of);
        instruments.call_sent.record(self.sent.load(Relaxed), &of);
        instruments
            .call_received
            .record(self.received.load(Relaxed), &of);
        let name = match &*self.name {
            OTHER => Cow::Borrowed("_OTHER"),
            _ => self.name.clone(),
        };
        let mut of = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", name),
            KeyValue::new("rpc.response.status_code", status),
        ];
        if is_server_error(code) {
            of.push(KeyValue::new("error.type", status));
        }
        instruments.rpc_duration.record(duration, &of);
        instruments.active_calls.add(-1, &[]);
    }
}

/// Adds up the sizes of a call's messages.
struct Sizes(Arc<Served>);

impl CallObserver for Sizes {
    fn message_sent(&self, size: usize) {
        self.0.sent.fetch_add(size as u64, Relaxed);
    }

    fn message_received(&self, size: usize) {
        self.0.received.fetch_add(size as u64, Relaxed);
    }

    fn ended(&self, _: &Status) {}
}
