//! Calls that are begun, and reset before they cost their caller anything.

use std::convert::Infallible;
use std::future::IntoFuture as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use wireloom::Code;
use wireloom::server::Body;
use wireloom_peer::raw::{END_HEADERS, END_STREAM, Ended, call, field, frame, head, kind, message};

use super::{CLIENT_STREAM, HANGS, MIB, Siege, UNARY, calm};
use crate::{LONG, Setting, hanging, task, until};

const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

/// CVE-2023-44487.
#[tokio::test]
async fn rapid_reset_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege
        .flood(|stream| {
            let mut calls = call(stream, UNARY, HANGS);
            calls.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
            calls
        })
        .await;
    assert_eq!(ended, calm("too_many_resets"));
    let calls = siege.attacking_calls();
    assert!(calls < 3000, "{calls}");
    siege.ends_with_at_most(16 * MIB).await;
}

#[tokio::test]
async fn rapid_reset_of_calls_that_are_answered_at_once_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege
        .flood(|stream| {
            let mut calls = call(stream, UNARY, b"");
            calls.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
            calls
        })
        .await;
    assert_eq!(ended, calm("too_many_resets"));
    siege.ends_with_at_most(16 * MIB).await;
}

#[tokio::test]
async fn rapid_reset_of_calls_with_a_short_deadline_is_ended() {
    for timeout in ["1n", "1m", "10m"] {
        let siege = Siege::lay(wireloom::Server::builder()).await;
        let mut head = head(UNARY);
        head.extend(field("grpc-timeout", timeout));
        let ended = siege
            .flood(|stream| {
                let mut calls = frame(kind::HEADERS, END_HEADERS, stream, &head);
                calls.extend(frame(kind::DATA, END_STREAM, stream, &message(HANGS)));
                calls.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
                calls
            })
            .await;
        assert_eq!(ended, calm("too_many_resets"), "{timeout}");
        let calls = siege.attacking_calls();
        assert!(calls < 25_000, "{timeout}: {calls}");
        siege.ends_with_at_most(16 * MIB).await;
    }
}

#[tokio::test]
async fn rapid_reset_of_calls_whose_request_has_not_come_in_is_ended() {
    for method in [UNARY, CLIENT_STREAM] {
        let siege = Siege::lay(wireloom::Server::builder()).await;
        let ended = siege
            .flood(|stream| {
                let mut calls = frame(kind::HEADERS, END_HEADERS, stream, &head(method));
                calls.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
                calls
            })
            .await;
        assert_eq!(ended, calm("too_many_resets"), "{method}");
        siege.ends_with_at_most(16 * MIB).await;
    }
}

/// Answers nothing.
#[derive(Clone)]
struct Hang;

impl tower_service::Service<http::Request<Body>> for Hang {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test]
async fn rapid_reset_of_what_is_no_call_is_ended() {
    // So long that fewer come at once than are refused unseen.
    let path = format!("/{}", "x".repeat(200));
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "peer"),
    ];
    let head: Vec<_> = fields.iter().flat_map(|(n, v)| field(n, v)).collect();
    let server = wireloom::Server::builder;
    for server in [server(), server().fallback(Hang)] {
        let siege = Siege::lay(server).await;
        let ended = siege
            .flood(|stream| {
                let flags = END_HEADERS | END_STREAM;
                let mut requests = frame(kind::HEADERS, flags, stream, &head);
                requests.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
                requests
            })
            .await;
        assert_eq!(ended, calm("too_many_resets"));
        siege.ends_with_at_most(16 * MIB).await;
    }
}

/// Keeps calls with the field `kept` for ever.
#[derive(Clone)]
struct Keep<S = ()>(S);

impl<S> tower_layer::Layer<S> for Keep {
    type Service = Keep<S>;

    fn layer(&self, inner: S) -> Keep<S> {
        Keep(inner)
    }
}

impl<S> tower_service::Service<http::Request<Body>> for Keep<S>
where
    S: tower_service::Service<http::Request<Body>, Error = Infallible, Future: Send + 'static>,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.headers().contains_key("kept") {
            true => Box::pin(std::future::pending()),
            false => Box::pin(self.0.call(request)),
        }
    }
}

#[tokio::test]
async fn rapid_reset_of_calls_that_wait_in_a_layer_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder().layer(Keep(()))).await;
    let mut head = head(UNARY);
    // So long that fewer come at once than are refused unseen.
    head.extend(field("kept", &"x".repeat(200)));
    let ended = siege
        .flood(|stream| {
            let flags = END_HEADERS | END_STREAM;
            let mut calls = frame(kind::HEADERS, flags, stream, &head);
            calls.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL));
            calls
        })
        .await;
    assert_eq!(ended, calm("too_many_resets"));
    siege.ends_with_at_most(16 * MIB).await;
}

/// CVE-2025-8671: the server resets streams of its own accord, here for a window's update by nothing.
#[tokio::test]
async fn a_peer_that_makes_the_server_reset_calls_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege
        .flood(|stream| {
            let mut calls = frame(kind::HEADERS, END_HEADERS, stream, &head(CLIENT_STREAM));
            calls.extend(frame(kind::DATA, 0, stream, &message(HANGS)));
            calls.extend(frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4]));
            calls
        })
        .await;
    assert!(matches!(ended, Ended::GoneAway(..)), "{ended:?}");
    let calls = siege.attacking_calls();
    assert!(calls < 3000, "{calls}");
    siege.ends_with_at_most(16 * MIB).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_not_served() {
    let server = wireloom::Server::builder().max_concurrent_streams(10);
    let siege = Siege::lay(server).await;
    let mut attacker = siege.attacker().await;
    for n in 0..20 {
        attacker.send(&call(2 * n + 1, UNARY, HANGS)).await.unwrap();
    }
    let mut refused = 0;
    while refused < 10 {
        let reset = attacker.until(kind::RST_STREAM).await.unwrap().unwrap();
        assert!(reset.stream > 20);
        // Their DATA is answered by STREAM_CLOSED.
        refused += usize::from(reset.code() == u32::from(h2::Reason::REFUSED_STREAM));
    }
    until(|| siege.server.calls() >= 10).await;
    drop(attacker);
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_without_end_end_their_connection() {
    let server = wireloom::Server::builder().max_concurrent_streams(10);
    let siege = Siege::lay(server).await;
    let head = head(UNARY);
    let ended = siege
        .flood(|stream| {
            // The first has the bit that means nothing.
            let reserved = u32::from(stream < 3) << 31;
            frame(kind::HEADERS, END_HEADERS, stream | reserved, &head)
        })
        .await;
    assert_eq!(ended, calm("too_many_refused_streams"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_client_that_makes_more_calls_at_once_than_it_may_lives() {
    let server = wireloom::Server::builder().max_concurrent_streams(10);
    let siege = Siege::lay(server).await;
    let mut eager = siege.attacker().await;
    for n in 0..5000 {
        eager.send(&call(2 * n + 1, UNARY, HANGS)).await.unwrap();
    }
    let mut refused = 0;
    while refused < 4990 {
        let reset = eager.until(kind::RST_STREAM).await.unwrap().unwrap();
        refused += usize::from(reset.code() == u32::from(h2::Reason::REFUSED_STREAM));
    }
    let mut next = frame(kind::RST_STREAM, 0, 1, &CANCEL);
    next.extend(call(10_001, UNARY, b""));
    eager.send(&next).await.unwrap();
    assert_eq!(
        eager.until(kind::DATA).await.unwrap().unwrap().stream,
        10_001
    );
    drop(eager);
    siege.ends_with_at_most(4 * MIB).await;
}

#[tokio::test]
async fn a_client_that_cancels_a_thousand_calls_at_once_lives() {
    let setting = Setting::new().await;
    let client = crate::client(&setting.proxy.target(), |builder| {
        builder.max_connections(10)
    });
    let calls: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(client.unary(hanging()).timeout(LONG).into_future()))
        .collect();
    until(|| setting.server.calls() == 1000).await;
    let accepted = setting.proxy.counts().accepted;
    calls.iter().for_each(|call| call.abort());
    until(|| setting.server.calls() == 0).await;
    let call = client.unary(task("a")).timeout(LONG).await;
    assert_eq!(call.map_err(|status| status.code()).err(), None::<Code>);
    assert_eq!(setting.proxy.counts().accepted, accepted);
}
