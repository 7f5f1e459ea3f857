//! Servers that say GOAWAY again and again.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use wireloom::{Channel, Code, Method, ServiceConfig};
use wireloom_peer::{Act, Last, Peer, Step};

use crate::LONG;
use crate::load::{Load, Tally};

pub static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");

/// Retries calls of all methods.
pub const RETRY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;

/// A peer that says GOAWAY after each of so many calls, or before it.
async fn storm(acts: impl Fn(usize) -> Act, count: usize) -> (Arc<Peer>, Channel) {
    let peer = Peer::new((0..count).map(acts));
    let target = format!("http://{}", peer.listen().await.unwrap());
    let retry = ServiceConfig::from_json(RETRY).unwrap();
    let channel = Channel::builder(&target).service_config(retry).lazy();
    (peer, channel.unwrap())
}

async fn weather(channel: Channel, calls: usize) -> Tally {
    let load = Load::start(16, LONG, move || {
        let call = channel.unary(&UNARY, String::new());
        call.timeout(LONG).into_future()
    });
    load.until_succeeded(calls).await;
    load.stop().await
}

#[tokio::test]
async fn a_goaway_after_every_answer_fails_no_call() {
    let (peer, channel) = storm(|_| Act::read().answer().go_away(Last::This), 400).await;
    weather(channel, 800).await.assert_all(&[Code::Ok]);
    assert!(peer.connections() >= 20, "{}", peer.connections());
}

#[tokio::test]
async fn goaways_that_leave_out_calls_fail_none() {
    let acts = |index: usize| match index % 40 {
        0 => Act::default().go_away(Last::Below),
        _ => Act::read().answer(),
    };
    let (_peer, channel) = storm(acts, 400).await;
    weather(channel, 600).await.assert_all(&[Code::Ok]);
}

#[tokio::test]
async fn a_goaway_with_an_error_and_a_close_in_the_middle_of_calls_fails_none_that_is_retried() {
    let acts = |index: usize| match index % 20 {
        0 => Act::read()
            .step(Step::GoAway(Last::Zero, Reason::ENHANCE_YOUR_CALM))
            .close(),
        _ => Act::read().answer(),
    };
    let (_peer, channel) = storm(acts, 400).await;
    weather(channel, 600).await.assert_all(&[Code::Ok]);
}

#[tokio::test]
async fn a_server_that_goes_away_before_every_call_is_not_called_on_without_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let _served = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let mut http2 = h2::server::handshake(io).await.unwrap();
            http2.abrupt_shutdown(Reason::NO_ERROR);
            while http2.accept().await.is_some() {}
        }
    }));
    let channel = Channel::lazy(&target).unwrap();
    let mut tally = Tally::default();
    for _ in 0..100 {
        let call = channel.unary(&UNARY, String::new()).timeout(LONG);
        let _ = tally.count(LONG, call).await;
    }
    tally.assert_all(&[Code::Unavailable]);
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections < 20, "{connections}");
}
