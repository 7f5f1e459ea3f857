//! Circuit breakers, over several peers.

use super::*;
use crate::policy::{CircuitBreaker, HedgingPolicy, RetryPolicy, RingHash, StatusCodes};

static OTHER: Method<String, String> = Method::unary("/test.Test/Other");

/// A peer that fails its first calls.
fn failing(calls: usize) -> Arc<Peer> {
    Peer::new(vec![Act::fail(Code::Unavailable); calls])
}

/// Opens after 3 failures in a row, for 5 seconds.
fn breaker() -> CircuitBreaker {
    CircuitBreaker {
        consecutive_failures: Some(3),
        ..CircuitBreaker::default()
    }
}

fn breaking(builder: ChannelBuilder) -> ChannelBuilder {
    round_robin(builder).circuit_breaker(breaker())
}

/// Makes calls; gives how many have failed.
async fn failures(channel: &Channel, calls: usize) -> usize {
    let mut failed = 0;
    for _ in 0..calls {
        failed += usize::from(call(channel).await.is_err());
    }
    failed
}

/// A channel whose only circuit is open.
async fn open(peer: &Arc<Peer>) -> Channel {
    let channel = Registry::of(&[peer]).channel(breaking);
    assert_eq!(failures(&channel, 3).await, 3);
    channel
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_pick_that_drops_the_call_is_not_retried() {
    let peer = failing(3);
    let channel = open(&peer).await;
    let unavailable = StatusCodes::new(&[Code::Unavailable]);
    let retry = RetryPolicy {
        max_attempts: 5,
        initial_backoff: Duration::from_secs(10),
        max_backoff: Duration::from_secs(10),
        backoff_multiplier: 1.0,
        retryable_status_codes: unavailable,
    };
    let hedging = HedgingPolicy {
        max_attempts: 3,
        hedging_delay: Duration::from_secs(10),
        non_fatal_status_codes: unavailable,
    };
    let begun = Instant::now();
    let make = || channel.unary(&UNARY, String::new());
    for call in [make().retry_policy(retry), make().hedging_policy(hedging)] {
        let dropped = call.await.unwrap_err();
        assert_eq!(dropped.code(), Code::Unavailable);
        assert_eq!(
            dropped.message(),
            "the circuit breaker is open for /test.Test/Unary: too many of its calls failed lately, at all servers"
        );
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_pick_that_drops_the_call_does_not_wait_for_ready() {
    let peer = failing(3);
    let channel = open(&peer).await;
    let begun = Instant::now();
    let waiting = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    assert_eq!(waiting.await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_address_where_the_method_fails_is_left_out_for_that_method() {
    let bad = failing(3);
    let peers = [bad.clone(), Peer::new([]), Peer::new([])];
    let channel = Registry::of(&peers.each_ref()).channel(breaking);
    while bad.seen().len() < 3 {
        let _ = call(&channel).await;
    }
    let before = counts(&peers);
    assert_eq!(failures(&channel, 8).await, 0);
    assert_eq!(counts(&peers), [before[0], before[1] + 4, before[2] + 4]);
    for _ in 0..3 {
        channel.unary(&OTHER, String::new()).await.unwrap();
    }
    assert_eq!(bad.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_succeeds_closes_it_and_one_that_fails_does_not() {
    let peer = failing(4);
    let channel = open(&peer).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(failures(&channel, 5).await, 5);
    assert_eq!(peer.seen().len(), 4, "one probe");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(failures(&channel, 5).await, 0);
    assert_eq!(peer.seen().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn half_open_it_lets_through_as_many_as_there_are_probes() {
    let mut acts = vec![Act::fail(Code::Unavailable); 3];
    acts.extend(vec![Act::read().wait(100).answer(); 2]);
    let peer = Peer::new(acts);
    let channel = Registry::of(&[&peer]).channel(|builder| {
        builder.circuit_breaker(CircuitBreaker {
            half_open_probes: 2,
            ..breaker()
        })
    });
    assert_eq!(failures(&channel, 3).await, 3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(channel.unary(&UNARY, String::new()).into_future()))
        .collect();
    let mut succeeded = 0;
    for call in calls {
        succeeded += usize::from(call.await.unwrap().is_ok());
    }
    assert_eq!(succeeded, 2);
    assert_eq!(failures(&channel, 3).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_cancelled_leaves_its_place_to_another() {
    let mut acts = vec![Act::fail(Code::Unavailable); 3];
    acts.push(Act::stall());
    let peer = Peer::new(acts);
    let channel = open(&peer).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let probe = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
    settle().await;
    assert_eq!(failures(&channel, 1).await, 1);
    probe.abort();
    settle().await;
    assert_eq!(failures(&channel, 3).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_address_is_left_out_goes_to_the_next_on_the_ring() {
    let peers: [_; 3] = std::array::from_fn(|_| failing(3));
    let channel = Registry::of(&peers.each_ref()).channel(|builder| {
        builder
            .circuit_breaker(breaker())
            .load_balancing(LoadBalancing::RingHash(RingHash {
                request_hash_header: Some("key".to_owned()),
                ..RingHash::default()
            }))
    });
    let call = || channel.unary(&UNARY, String::new()).metadata("key", "k");
    for _ in 0..9 {
        call().await.unwrap_err();
    }
    assert_eq!(counts(&peers), [3; 3]);
    let dropped = call().wait_for_ready(true).await.unwrap_err();
    assert!(dropped.message().starts_with("the circuit breaker is open"));
    assert_eq!(counts(&peers), [3; 3]);
}

#[tokio::test(start_paused = true)]
async fn least_request_chooses_among_those_that_are_not_left_out() {
    let bad = failing(3);
    let peers = [bad.clone(), Peer::new([]), Peer::new([])];
    let channel = Registry::of(&peers.each_ref()).channel(|builder| {
        builder
            .circuit_breaker(breaker())
            .load_balancing(LoadBalancing::LeastRequest {
                choice_count: 2,
                slow_start: None,
            })
    });
    while bad.seen().len() < 3 {
        let _ = call(&channel).await;
    }
    assert_eq!(failures(&channel, 40).await, 0);
    assert_eq!(bad.seen().len(), 3);
}

#[test]
fn an_invalid_breaker_is_refused() {
    for (breaker, reason) in [
        (
            CircuitBreaker {
                failure_ratio: f64::NAN,
                ..breaker()
            },
            "failure_ratio must be above 0 and at most 1",
        ),
        (
            CircuitBreaker {
                window: Duration::ZERO,
                ..breaker()
            },
            "window must be above zero",
        ),
        (
            CircuitBreaker {
                half_open_probes: 0,
                ..breaker()
            },
            "half_open_probes must be at least 1",
        ),
    ] {
        let builder = Channel::builder("http://localhost:1").circuit_breaker(breaker);
        let refused = builder.lazy().unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(
            refused.message(),
            format!("invalid circuit breaker: {reason}")
        );
    }
}
