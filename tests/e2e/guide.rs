//! What the guides in `docs/` show, run.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use wireloom::server::{Listener, PeerAddr, Server};
use wireloom::{CallObserver, CallOptions, Compression, InterceptedCall, Interceptor, Next};
use wireloom::{
    Channel, CircuitBreaker, Code, ConnectivityState, Context, FailurePercentageEjection,
    LoadBalancing, OutlierDetection, Request, Response, RingHash, SlowStart, Status,
};
use wireloom::{MessageStream, RetryPolicy, StatusCodes, Streaming, tokio_stream};
use wireloom_tests::real::route_guide::routeguide::Rectangle;
use wireloom_tests::real::route_guide::routeguide::{
    Feature, Point, RouteGuide, RouteGuideClient, RouteGuideServer, RouteNote, RouteSummary,
};

struct Guide;

impl RouteGuide for Guide {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let peer = request.extensions().get::<PeerAddr>().copied();
        let context = Context::current();
        let left = context.deadline().map(|deadline| deadline.remaining());
        let cancelled = context.cancellation_token();
        let watch = wireloom::spawn(async move {
            // Calls made here inherit the deadline and the trace, too.
            cancelled.cancelled().await;
        });
        watch.abort();
        let name = format!(
            "asked by {peer:?}, {} left",
            if left.is_some() { "time" } else { "none" }
        );
        Ok(Response::new(Feature {
            name,
            location: Some(request.into_inner()),
        }))
    }

    async fn list_features(
        &self,
        _: Request<Rectangle>,
    ) -> Result<Response<impl MessageStream<Feature>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn record_route(
        &self,
        _: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not on this route"))
    }

    async fn route_chat(
        &self,
        _: Request<Streaming<RouteNote>>,
    ) -> Result<Response<impl MessageStream<RouteNote>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

/// Adds a token to each call of a channel.
struct Authorize {
    token: String,
}

impl Interceptor for Authorize {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let token = format!("Bearer {}", self.token)
            .parse()
            .map_err(|_| Status::unauthenticated("the token is not ASCII"))?;
        call.metadata_mut().insert("authorization", token);
        next.run(call).await
    }
}

/// Logs how each call of a server ended, and how much came and went.
struct AccessLog;

impl Interceptor for AccessLog {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let method = call.full_name().to_owned();
        let left = call.deadline().map(|deadline| deadline.remaining());
        tracing::debug!(method, ?left, "called");
        call.observe(Entry { method });
        next.run(call).await
    }
}

/// Lets calls of a server pass that bring a token which it knows.
struct Guard {
    tokens: HashSet<String>,
}

impl Interceptor for Guard {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let header = call.metadata().get("authorization");
        let token = header
            .and_then(|header| header.to_str().ok())
            .and_then(|header| header.strip_prefix("Bearer "));
        if token.is_none_or(|token| !self.tokens.contains(token)) {
            return Err(Status::unauthenticated("the token is missing or unknown"));
        }
        next.run(call).await
    }
}

struct Entry {
    method: String,
}

impl CallObserver for Entry {
    fn message_received(&self, size: usize) {
        tracing::debug!(method = self.method, size, "received");
    }

    fn ended(&self, status: &Status) {
        tracing::info!(method = self.method, code = ?status.code(), "served");
    }
}

#[tokio::test]
async fn what_a_channel_sets_for_all_its_calls() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let tokens = HashSet::from(["secret".to_owned()]);
    let server = Server::builder()
        .interceptor(AccessLog)
        .interceptor(Guard { tokens })
        .add_service(RouteGuideServer::new(Guide))
        .serve(listener);
    let server = tokio::spawn(server);

    let token = "secret".to_owned();
    let options = CallOptions::new()
        .timeout(Duration::from_secs(3))
        .wait_for_ready(true)
        .compression(Compression::Gzip)
        .metadata("tenant", "blue");
    let channel = Channel::builder(&target)
        .call_options(options)
        .interceptor(Authorize { token })
        .lazy()
        .unwrap();
    let feature = RouteGuideClient::new(channel)
        .get_feature(Point::default())
        .idempotency_key("8e03978e-40d5-43dd-bc93-6894a57f9324")
        .await
        .unwrap()
        .into_inner();
    assert!(feature.name.contains("time left"), "{}", feature.name);

    let stranger = RouteGuideClient::connect(&target).await.unwrap();
    let status = stranger.get_feature(Point::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    server.abort();
}

#[test]
fn a_channel_that_balances_by_key_or_by_load() {
    let by_session = LoadBalancing::RingHash(RingHash::by_header("session-id"));
    let gently = LoadBalancing::LeastRequest {
        choice_count: 2,
        slow_start: Some(SlowStart::new(Duration::from_secs(30))),
    };
    for policy in [by_session, gently] {
        assert_eq!(policy.validate(), Ok(()));
    }
}

#[tokio::test]
async fn a_channel_to_several_servers() {
    let channel = Channel::builder("static:127.0.0.1:50051,127.0.0.1:50052")
        .load_balancing(LoadBalancing::RoundRobin)
        .connections(2)
        .keepalive(Duration::from_secs(30))
        .health_check("routeguide.RouteGuide")
        .lazy()
        .unwrap();
    let mut state = channel.watch_state();
    assert_eq!(state.current(), ConnectivityState::Idle);
    let connecting = state.changed();
    let client = RouteGuideClient::new(channel);
    let call = client.get_feature(Point::default());
    let (connecting, _) = tokio::join!(connecting, call.timeout(Duration::from_secs(1)));
    assert_eq!(connecting, ConnectivityState::Connecting);
}

#[tokio::test]
async fn a_channel_that_leaves_out_servers_that_misbehave() {
    let channel = Channel::builder("static:127.0.0.1:50051,127.0.0.1:50052")
        .load_balancing(LoadBalancing::RoundRobin)
        .outlier_detection(OutlierDetection {
            max_ejection_percent: 30,
            failure_percentage_ejection: Some(FailurePercentageEjection {
                threshold: 50,
                minimum_hosts: 3,
                request_volume: 20,
                ..FailurePercentageEjection::default()
            }),
            ..OutlierDetection::default()
        })
        .circuit_breaker(CircuitBreaker {
            failure_ratio: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
            half_open_probes: 3,
            ..CircuitBreaker::default()
        })
        .lazy()
        .unwrap();
    assert_eq!(channel.state(), ConnectivityState::Idle);
}

#[tokio::test]
async fn a_server_and_a_channel_with_options() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let server = Server::builder()
        .add_service(RouteGuideServer::new(Guide))
        .shutdown_timeout(Duration::from_secs(10))
        .max_receive_message_size(16 << 20)
        .serve_with_shutdown(listener, async move {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);

    let channel = Channel::builder(&target)
        .connect_timeout(Duration::from_secs(2))
        .max_receive_message_size(16 << 20)
        .lazy()
        .unwrap();
    let client = RouteGuideClient::new(channel);
    let feature = client
        .get_feature(Point {
            latitude: 1,
            longitude: 2,
        })
        .timeout(Duration::from_secs(1))
        .metadata("tenant", "blue")
        .await
        .unwrap()
        .into_inner();
    assert!(
        feature.name.contains("Tcp") && feature.name.contains("time left"),
        "{}",
        feature.name
    );

    stop.send(()).unwrap();
    assert_eq!(server.await.unwrap().unwrap().cut_off_calls, 0);
}

/// Ends the first calls with UNAVAILABLE.
struct Starting {
    failures: u32,
    calls: Arc<AtomicU32>,
}

impl Interceptor for Starting {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        match self.calls.fetch_add(1, Relaxed) < self.failures {
            true => Err(Status::unavailable("still starting")),
            false => next.run(call).await,
        }
    }
}

#[tokio::test]
async fn a_policy_of_one_call() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let calls = Arc::new(AtomicU32::new(0));
    let starting = Starting {
        failures: 3,
        calls: calls.clone(),
    };
    let server = Server::builder()
        .interceptor(starting)
        .add_service(RouteGuideServer::new(Guide))
        .serve(listener);
    let server = tokio::spawn(server);

    let client = RouteGuideClient::connect(&target).await.unwrap();
    let policy = RetryPolicy {
        max_attempts: 4,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 2.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };
    let feature = client
        .get_feature(Point::default())
        .timeout(Duration::from_secs(2))
        .retry_policy(policy)
        .await
        .unwrap()
        .into_inner();
    assert!(feature.name.contains("time left"), "{}", feature.name);
    assert_eq!(calls.load(Relaxed), 4);
    server.abort();
}

#[tokio::test]
async fn a_handler_is_tested_without_a_socket() {
    let request = Request::new(Point {
        latitude: 1,
        longitude: 2,
    });
    let feature = Guide.get_feature(request).await.unwrap().into_inner();
    assert_eq!(
        feature.location,
        Some(Point {
            latitude: 1,
            longitude: 2
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_is_called_in_this_process() {
    let client = RouteGuideClient::new(Channel::from_service(RouteGuideServer::new(Guide)));
    let call = client.get_feature(Point::default());
    let feature = call.timeout(Duration::from_secs(2)).await.unwrap();
    assert!(feature.get_ref().name.ends_with("time left"));
}

#[tokio::test]
async fn a_failed_call_says_why() {
    let client = RouteGuideClient::new(Channel::lazy("unix:/nowhere/at/all").unwrap());
    match client.get_feature(Point::default()).no_retry().await {
        Ok(_) => panic!("nobody listens there"),
        Err(status) if status.code() == Code::Unavailable => {
            assert!(status.message().contains("could not connect"), "{status}");
        }
        Err(status) => panic!("{status}"),
    }
}
