//! Calls at a rate, and what they came to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use wireloom::{CallOptions, Channel, Code, RetryPolicy, ServiceConfig, StatusCodes};
use wireloom_tests::real::route_guide::routeguide::{Point, RouteGuideClient};

use super::{DEADLINE, Error};

/// How many connections the calls come over.
const CONNECTIONS: usize = 8;

/// What clients do with a call that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    Once,
    Retry,
    /// As long as not too many attempts fail (gRFC A6).
    RetryThrottled,
}

impl Clients {
    pub fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Retry => "retry",
            Self::RetryThrottled => "throttled",
        }
    }
}

/// What is asked of a server.
pub struct Load<'a> {
    pub target: &'a str,
    pub calls_per_second: f64,
    /// Calls of this time at the start are not counted.
    pub warm_up: Duration,
    pub time: Duration,
    pub clients: Clients,
}

/// What the calls came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    pub good: u64,
    pub refused: u64,
    /// Their deadline passed, or they failed otherwise.
    pub late: u64,
}

#[derive(Debug, Default)]
struct Counts {
    good: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
}

pub fn run(load: &Load<'_>) -> Result<Measured, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(make_calls(load))
}

async fn make_calls(load: &Load<'_>) -> Result<Measured, Error> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(client(load.target, load.clients)?);
    }
    let counts = Arc::new(Counts::default());
    let start = Instant::now();
    let end = start + load.warm_up + load.time;
    let interval = Duration::from_secs_f64(1.0 / load.calls_per_second);
    let mut at = start;
    let mut calls = tokio::task::JoinSet::new();
    for client in clients.iter().cycle() {
        at += interval;
        if at > end {
            break;
        }
        sleep_until(at).await;
        while calls.try_join_next().is_some() {}
        let (call, counts) = (client.get_feature(Point::default()), Arc::clone(&counts));
        let is_counted = at > start + load.warm_up;
        calls.spawn(async move {
            let ended = call.await;
            let count = match ended {
                Ok(_) => &counts.good,
                Err(status) if status.code() == Code::Unavailable => &counts.refused,
                Err(_) => &counts.late,
            };
            if is_counted {
                count.fetch_add(1, Relaxed);
            }
        });
    }
    while calls.join_next().await.is_some() {}
    Ok(Measured {
        good: counts.good.load(Relaxed),
        refused: counts.refused.load(Relaxed),
        late: counts.late.load(Relaxed),
    })
}

fn client(target: &str, clients: Clients) -> Result<RouteGuideClient, Error> {
    let options = CallOptions::new().timeout(DEADLINE);
    let options = match clients {
        Clients::Once => options.no_retry(),
        Clients::Retry | Clients::RetryThrottled => options.retry_policy(RetryPolicy {
            max_attempts: 3,
            initial_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_millis(100),
            backoff_multiplier: 2.0,
            retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
        }),
    };
    let mut builder = Channel::builder(target).call_options(options);
    if clients == Clients::RetryThrottled {
        let throttling = r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#;
        builder = builder.service_config(ServiceConfig::from_json(throttling)?);
    }
    Ok(RouteGuideClient::new(builder.lazy()?))
}
