use std::{fmt, sync::Arc};

use opentelemetry::{
    InstrumentationScope,
    metrics::{Counter, Histogram, Meter, MeterProvider},
};

use super::served::ServerInstruments;

type Filter = dyn Fn(&str) -> bool + Send + Sync;

/// Records metrics of calls, of their attempts and of servers with a meter provider of OpenTelemetry ([gRFC A66], [gRFC A96]).
///
/// | instrument | unit | once per | attributes |
/// |---|---|---|---|
/// | `grpc.client.attempt.started` | {attempt} | attempt | method, target |
/// | `grpc.client.attempt.duration` | s | attempt | method, target, status |
/// | `grpc.client.attempt.sent_total_compressed_message_size` | By | attempt | method, target, status |
/// | `grpc.client.attempt.rcvd_total_compressed_message_size` | By | attempt | method, target, status |
/// | `grpc.client.call.duration` | s | call | method, target, status |
/// | `grpc.client.call.retries` | {retry} | call that was retried | method, target |
/// | `grpc.client.call.transparent_retries` | {transparent_retry} | call with such | method, target |
/// | `grpc.client.call.hedges` | {hedge} | call that was hedged | method, target |
/// | `grpc.client.call.retry_delay` | s | call that waited between attempts | method, target |
///
/// | `grpc.server.call.started` | {call} | served call | method |
/// | `grpc.server.call.duration` | s | served call | method, status |
/// | `grpc.server.call.sent_total_compressed_message_size` | By | served call | method, status |
/// | `grpc.server.call.rcvd_total_compressed_message_size` | By | served call | method, status |
/// | `rpc.server.call.duration` | s | served call | those of [OpenTelemetry's conventions] |
/// | `wireloom.server.active_calls` | {call} | | |
/// | `wireloom.server.connections` | {connection} | | |
/// | `wireloom.server.refused_calls` | {call} | call that no handler sees | reason |
/// | `wireloom.server.panics` | {panic} | call that a panic ended | method |
/// | `wireloom.server.blocked_threads` | {poll} | [poll that took too long] | method |
///
/// The attributes are `grpc.method`, `grpc.target` and `grpc.status`. A method that is known by the path of a request
/// alone, as those of tonic's clients are, is `other`, unless [`generic_methods`](Self::generic_methods) lets its name
/// pass. Sizes are those of messages, compressed, without framing.
///
/// Clones share their instruments; there is no global provider that this falls back to.
///
/// ```
/// use opentelemetry::metrics::noop::NoopMeterProvider;
/// use wireloom::{Channel, Metrics};
///
/// // In place of it, the provider of opentelemetry_sdk, with an exporter.
/// let provider = NoopMeterProvider::new();
/// let channel = Channel::builder("http://localhost:50051").metrics(Metrics::new(&provider)).lazy()?;
/// # Ok::<(), wireloom::Status>(())
/// ```
///
/// [gRFC A66]: https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
/// [gRFC A96]: https://github.com/grpc/proposal/blob/master/A96-retry-otel-stats.md
/// [OpenTelemetry's conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/
/// [poll that took too long]: crate::Server::blocking_threshold
#[derive(Clone)]
pub struct Metrics {
    pub(super) instruments: Arc<Instruments>,
    pub(super) server: Arc<ServerInstruments>,
    generic_methods: Option<Arc<Filter>>,
}

impl Metrics {
    /// Instruments of `provider`'s meter for Wireloom.
    pub fn new(provider: &impl MeterProvider) -> Self {
        let scope = InstrumentationScope::builder("wireloom")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let meter = provider.meter_with_scope(scope);
        Self {
            instruments: Arc::new(Instruments::of(&meter)),
            server: Arc::new(ServerInstruments::of(&meter)),
            generic_methods: None,
        }
    }

    /// Records methods that are known by a request's path alone, on both sides, under their name (`helloworld.Greeter/SayHello`) where
    /// `allow` says so, rather than as `other`. Who can call any path could otherwise make any number of them.
    #[must_use]
    pub fn generic_methods(mut self, allow: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.generic_methods = Some(Arc::new(allow));
        self
    }

    pub(super) fn allows(&self, method: &str) -> bool {
        self.generic_methods
            .as_ref()
            .is_some_and(|allow| allow(method))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

pub(super) struct Instruments {
    pub(super) attempt_started: Counter<u64>,
    pub(super) attempt_duration: Histogram<f64>,
    pub(super) attempt_sent: Histogram<u64>,
    pub(super) attempt_received: Histogram<u64>,
    pub(super) call_duration: Histogram<f64>,
    pub(super) retries: Histogram<u64>,
    pub(super) transparent_retries: Histogram<u64>,
    pub(super) hedges: Histogram<u64>,
    pub(super) retry_delay: Histogram<f64>,
}

/// The boundaries that A66 has for latencies, in seconds.
pub(super) const LATENCY: [f64; 41] = [
    0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005,
    0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16,
    0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];

/// The boundaries that A66 has for sizes, in bytes.
pub(super) const SIZE: [f64; 14] = [
    0.0,
    1024.0,
    2048.0,
    4096.0,
    16384.0,
    65536.0,
    262144.0,
    1048576.0,
    4194304.0,
    16777216.0,
    67108864.0,
    268435456.0,
    1073741824.0,
    4294967296.0,
];

impl Instruments {
    fn of(meter: &Meter) -> Self {
        let seconds = |name: &'static str, what: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram
                .with_description(what)
                .with_boundaries(LATENCY.to_vec())
                .build()
        };
        let count =
            |name: &'static str, unit: &'static str, what: &'static str, boundaries: &[f64]| {
                let histogram = meter.u64_histogram(name).with_unit(unit);
                histogram
                    .with_description(what)
                    .with_boundaries(boundaries.to_vec())
                    .build()
            };
        Self {
            attempt_started: meter
                .u64_counter("grpc.client.attempt.started")
                .with_unit("{attempt}")
                .with_description("Number of client call attempts started")
                .build(),
            attempt_duration: seconds(
                "grpc.client.attempt.duration",
                "End-to-end time taken to complete a client call attempt",
            ),
            attempt_sent: count(
                "grpc.client.attempt.sent_total_compressed_message_size",
                "By",
                "Compressed message bytes sent per client call attempt",
                &SIZE,
            ),
            attempt_received: count(
                "grpc.client.attempt.rcvd_total_compressed_message_size",
                "By",
                "Compressed message bytes received per call attempt",
                &SIZE,
            ),
            call_duration: seconds(
                "grpc.client.call.duration",
                "Time taken by gRPC to complete an RPC from application's perspective",
            ),
            retries: count(
                "grpc.client.call.retries",
                "{retry}",
                "Number of retries during the client call",
                &[1.0, 2.0, 3.0, 4.0, 5.0],
            ),
            transparent_retries: count(
                "grpc.client.call.transparent_retries",
                "{transparent_retry}",
                "Number of transparent retries during the client call",
                &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0],
            ),
            hedges: count(
                "grpc.client.call.hedges",
                "{hedge}",
                "Number of hedges during the client call",
                &[1.0, 2.0, 3.0, 4.0, 5.0],
            ),
            retry_delay: seconds(
                "grpc.client.call.retry_delay",
                "Total time of delay while there is no active attempt during the client call",
            ),
        }
    }
}
