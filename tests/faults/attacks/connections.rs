//! Connections that are many, slow, or silent.

use std::time::Duration;

use wireloom_peer::raw::{Ended, PREFACE, Raw, call, kind, settings};

use super::{MIB, Siege, UNARY, sockets};
use crate::{LONG, until};

#[tokio::test]
async fn connections_that_do_not_begin_to_speak_are_ended() {
    let server = wireloom::Server::builder().handshake_timeout(Duration::from_millis(200));
    let siege = Siege::lay(server).await;
    let mut greeting = PREFACE.to_vec();
    greeting.extend(settings(&[(4, 1 << 16)]));
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut raw = Raw::connect(siege.server.address).await.unwrap();
        raw.send(&greeting[..n % greeting.len()]).await.unwrap();
        slow.push(raw);
    }
    for raw in &mut slow {
        let ended = tokio::time::timeout(LONG, raw.ended()).await;
        assert_eq!(ended, Ok(Ended::Closed));
    }
    drop(slow);
    siege.ends_with_at_most(4 * MIB).await;
}

#[tokio::test]
async fn connections_that_have_begun_to_speak_may_be_idle() {
    let server = wireloom::Server::builder().handshake_timeout(Duration::from_millis(200));
    let siege = Siege::lay(server).await;
    let mut idle = siege.attacker().await;
    let mut slow = Raw::connect(siege.server.address).await.unwrap();
    assert_eq!(slow.ended().await, Ended::Closed);
    // It is older than the one that was too slow.
    idle.send(&call(1, UNARY, b"")).await.unwrap();
    assert!(idle.until(kind::DATA).await.unwrap().is_some());
    drop((idle, slow));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_served_again_once_others_are_gone() {
    let siege = Siege::lay(wireloom::Server::builder().max_connections(20)).await;
    let mut held = Vec::new();
    for _ in 0..19 {
        held.push(siege.attacker().await);
    }
    for _ in 0..50 {
        let mut refused = Raw::connect(siege.server.address).await.unwrap();
        assert_eq!(refused.ended().await, Ended::Closed);
    }
    let most = siege.sockets + 2 * 19;
    until(|| sockets(siege.server.address) <= most).await;
    held.pop();
    until(|| sockets(siege.server.address) < most).await;
    let served = siege.attacker().await;
    drop((held, served));
    siege.ends_with_at_most(4 * MIB).await;
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may() {
    let siege = Siege::lay(wireloom::Server::builder().max_connections_per_address(5)).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(siege.attacker().await);
    }
    let mut refused = Raw::connect(siege.server.address).await.unwrap();
    assert_eq!(refused.ended().await, Ended::Closed);
    drop((held, refused));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn what_is_not_http2_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut web = Raw::connect(siege.server.address).await.unwrap();
    web.send(b"GET / HTTP/1.1\r\nhost: peer\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(web.ended().await, Ended::Closed);
    // It is told so in an orderly way, and its own side is its own to close.
    drop(web);
    siege.ends_with_at_most(MIB).await;
}
