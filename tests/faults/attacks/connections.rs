//! Connections that are many, slow, or silent.

use std::time::Duration;

use wireloom_peer::raw::{Ended, PREFACE, Raw};

use super::{MIB, Siege, sockets};
use crate::until;

#[tokio::test]
async fn connections_that_do_not_begin_to_speak_are_ended() {
    let server = wireloom::Server::builder().handshake_timeout(Duration::from_millis(200));
    let siege = Siege::lay(server).await;
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut raw = Raw::connect(siege.server.address).await.unwrap();
        raw.send(&PREFACE[..n % PREFACE.len()]).await.unwrap();
        slow.push(raw);
    }
    for raw in &mut slow {
        assert_eq!(raw.ended().await, Ended::Closed);
    }
    drop(slow);
    siege.ends_with_at_most(4 * MIB).await;
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
    siege.ends_with_at_most(MIB).await;
}
