//! What is recorded, as an exporter of OpenTelemetry sees it.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use tonic::Code;
use wireloom_peer::{Act, Peer};

use super::Metrics;
use crate::{
    channel::Channel,
    client::scripted_peer::{Scripted as _, settle, unavailable},
    method::Method,
    policy::{HedgingPolicy, RetryPolicy, StatusCodes},
    service_config::ServiceConfig,
};

static RETRIED: Method<String, String> =
    Method::unary("/test.Test/Retried").with_retry_policy(RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    });
static LONG: Method<String, String> =
    Method::unary("/test.Test/Long").with_retry_policy(RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(60),
        max_backoff: Duration::from_secs(60),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    });
static HEDGED: Method<String, String> =
    Method::unary("/test.Test/Hedged").with_hedging_policy(HedgingPolicy {
        max_attempts: 3,
        hedging_delay: Duration::from_millis(100),
        non_fatal_status_codes: StatusCodes::new(&[]),
    });

/// A channel whose metrics can be looked at.
struct Metered {
    channel: Channel,
    recorded: Recorded,
}

/// The attributes' values, how often it was recorded, and the sum, rounded down.
pub(super) type Point = (Vec<String>, u64, u64);

/// What is recorded.
pub(super) struct Recorded {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Metered {
    fn new(peer: &std::sync::Arc<Peer>, set: impl FnOnce(Metrics) -> Metrics) -> Self {
        let (metrics, recorded) = Recorded::new();
        let metrics = set(metrics);
        Self {
            channel: peer.channel_with(|builder| builder.metrics(metrics)),
            recorded,
        }
    }

    /// The points of each instrument, by its name without `grpc.client.`.
    fn points(&self) -> BTreeMap<String, Vec<Point>> {
        let points = self.recorded.points().into_iter();
        points
            .map(|(name, points)| (name.trim_start_matches("grpc.client.").to_owned(), points))
            .collect()
    }
}

impl Recorded {
    pub(super) fn new() -> (Metrics, Self) {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        (Metrics::new(&provider), Self { provider, exporter })
    }

    /// The points of each instrument, by its name.
    pub(super) fn points(&self) -> BTreeMap<String, Vec<Point>> {
        self.provider.force_flush().unwrap();
        let exported = self.exporter.get_finished_metrics().unwrap();
        let last = exported.last().unwrap();
        let metrics = last.scope_metrics().flat_map(|scope| scope.metrics());
        metrics
            .map(|metric| (metric.name().to_owned(), points_of(metric.data())))
            .collect()
    }
}

fn points_of(data: &AggregatedMetrics) -> Vec<Point> {
    let values = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
        let mut values: Vec<_> = attributes.map(|of| of.value.to_string()).collect();
        values.sort();
        values
    };
    let mut points: Vec<_> = match data {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| {
                (
                    values(&mut point.attributes()),
                    point.value(),
                    point.value(),
                )
            })
            .collect(),
        AggregatedMetrics::I64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| {
                let value = u64::try_from(point.value()).unwrap();
                (values(&mut point.attributes()), value, value)
            })
            .collect(),
        AggregatedMetrics::U64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| (values(&mut point.attributes()), point.count(), point.sum()))
            .collect(),
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| {
                let sum = point.sum() as u64;
                (values(&mut point.attributes()), point.count(), sum)
            })
            .collect(),
        other => panic!("no such instrument was made: {other:?}"),
    };
    points.sort();
    points
}

/// A point of the method `name`, with further attributes.
fn point(name: &str, status: &str, count: u64, sum: u64) -> (Vec<String>, u64, u64) {
    let mut values = vec!["scripted".to_owned(), format!("test.Test/{name}")];
    if !status.is_empty() {
        values.push(status.to_owned());
    }
    values.sort();
    (values, count, sum)
}

#[tokio::test(start_paused = true)]
async fn rule_52_attempt_instruments_record_once_per_attempt_and_call_instruments_once_per_call() {
    let peer = Peer::new([Act::refuse_stream(), unavailable(), unavailable()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    call.await.unwrap();
    assert_eq!(peer.seen().len(), 4);

    let points = metered.points();
    assert_eq!(points["attempt.started"], [point("Retried", "", 4, 4)]);
    let ends = [
        point("Retried", "OK", 1, 0),
        point("Retried", "UNAVAILABLE", 3, 0),
    ];
    assert_eq!(points["attempt.duration"], ends);
    let sent = [
        point("Retried", "OK", 1, 9),
        point("Retried", "UNAVAILABLE", 3, 27),
    ];
    assert_eq!(points["attempt.sent_total_compressed_message_size"], sent);
    let received = [
        point("Retried", "OK", 1, 8),
        point("Retried", "UNAVAILABLE", 3, 0),
    ];
    assert_eq!(
        points["attempt.rcvd_total_compressed_message_size"],
        received
    );
    let seconds = points["call.duration"][0].2;
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(
        points["call.duration"],
        [point("Retried", "OK", 1, seconds)]
    );
}

#[tokio::test(start_paused = true)]
async fn rule_52_retries_and_transparent_retries_are_counted_apart_with_their_delay() {
    let peer = Peer::new([Act::refuse_stream(), unavailable(), unavailable()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    call.await.unwrap();
    let points = metered.points();
    assert_eq!(points["call.retries"], [point("Retried", "", 1, 2)]);
    assert_eq!(
        points["call.transparent_retries"],
        [point("Retried", "", 1, 1)]
    );
    let seconds = points["call.retry_delay"][0].2;
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert!(!points.contains_key("call.hedges"));
}

#[tokio::test(start_paused = true)]
async fn rule_52_zero_retries_are_not_recorded() {
    let peer = Peer::new([]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    call.await.unwrap();
    let points = metered.points();
    let names: Vec<_> = points.keys().map(String::as_str).collect();
    let expected = [
        "attempt.duration",
        "attempt.rcvd_total_compressed_message_size",
        "attempt.sent_total_compressed_message_size",
        "attempt.started",
        "call.duration",
    ];
    assert_eq!(names, expected);
}

#[tokio::test(start_paused = true)]
async fn rule_52_hedges_that_lose_are_recorded_as_cancelled() {
    let peer = Peer::new([Act::stall(), Act::read().answer()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&HEDGED, "request".to_owned());
    call.await.unwrap();
    settle().await;
    let points = metered.points();
    let ends = [
        point("Hedged", "CANCELLED", 1, 0),
        point("Hedged", "OK", 1, 0),
    ];
    assert_eq!(points["attempt.duration"], ends);
    assert_eq!(points["call.hedges"], [point("Hedged", "", 1, 1)]);
    assert!(!points.contains_key("call.retries"));
}

#[tokio::test(start_paused = true)]
async fn rule_52_a_call_that_is_dropped_is_recorded_once_as_cancelled() {
    let peer = Peer::new([Act::stall()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    let dropped = tokio::time::timeout(Duration::from_secs(5), call).await;
    assert!(dropped.is_err());
    let points = metered.points();
    assert_eq!(
        points["call.duration"],
        [point("Retried", "CANCELLED", 1, 5)]
    );
    assert_eq!(
        points["attempt.duration"],
        [point("Retried", "CANCELLED", 1, 5)]
    );
}

/// Calls a method that only its path names, as a client of tonic does.
async fn call_by_path(channel: &mut Channel) {
    let request = http::Request::post("http://scripted/test.Test/Generic")
        .body(tonic::body::Body::empty())
        .unwrap();
    let response = tower_service::Service::call(channel, request).await;
    drop(response.unwrap());
}

#[tokio::test(start_paused = true)]
async fn rule_52_an_unregistered_method_is_labelled_other() {
    let peer = Peer::new([]);
    let mut metered = Metered::new(&peer, |metrics| metrics);
    call_by_path(&mut metered.channel).await;
    let started = &metered.points()["attempt.started"];
    assert_eq!(started[0].0, ["other", "scripted"]);

    let mut metered = Metered::new(&peer, |metrics| {
        metrics.generic_methods(|method| method == "test.Test/Generic")
    });
    call_by_path(&mut metered.channel).await;
    let started = &metered.points()["attempt.started"];
    assert_eq!(started[0].0, ["scripted", "test.Test/Generic"]);
}

#[tokio::test(start_paused = true)]
async fn rule_49_an_attempt_that_the_deadline_ends_is_deadline_exceeded_as_its_call_is() {
    let peer = Peer::new([Act::stall()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    call.timeout(Duration::from_secs(5)).await.unwrap_err();
    let points = metered.points();
    let expected = [point("Retried", "DEADLINE_EXCEEDED", 1, 5)];
    assert_eq!(points["call.duration"], expected);
    assert_eq!(points["attempt.duration"], expected);
}

#[tokio::test(start_paused = true)]
async fn rule_52_a_backoff_that_the_deadline_ends_is_part_of_the_delay() {
    let peer = Peer::new([unavailable(), unavailable()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&LONG, "request".to_owned());
    call.timeout(Duration::from_secs(5)).await.unwrap_err();
    let points = metered.points();
    assert_eq!(points["call.retry_delay"], [point("Long", "", 1, 5)]);
}

#[tokio::test(start_paused = true)]
async fn rule_52_a_call_that_is_not_retried_has_no_delay() {
    let peer = Peer::new([unavailable()]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    call.no_retry().await.unwrap_err();
    assert!(!metered.points().contains_key("call.retry_delay"));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_measured_while_it_waits_for_a_valid_config_too() {
    let peer = Peer::new([]);
    let metered = Metered::new(&peer, |metrics| metrics);
    let invalid = r#"{"methodConfig": [{"name": [{}], "timeout": "soon"}]}"#;
    let invalid = ServiceConfig::from_json(invalid);
    metered.channel.update_service_config(invalid);
    let call = metered.channel.unary(&RETRIED, "request".to_owned());
    let call = call.wait_for_ready(true).timeout(Duration::from_secs(5));
    call.await.unwrap_err();
    let expected = [point("Retried", "DEADLINE_EXCEEDED", 1, 5)];
    assert_eq!(metered.points()["call.duration"], expected);
}
