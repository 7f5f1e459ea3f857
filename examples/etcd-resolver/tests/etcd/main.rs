//! Calls follow the servers that are registered in a real etcd.
//!
//! Needs `etcd`, which Debian's package `etcd-server` has: without, these tests count as ignored. `.ci/run` installs it
//! where it may, and runs them.

#![allow(clippy::unwrap_used)]

mod world;

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use wireloom::{Code, server::Listener};

use etcd_resolver::{connect, proto::whoami::AskRequest};

use world::{Etcd, address, answers, serve};

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn a_server_that_is_added_gets_calls() {
    let etcd = Etcd::start().await;
    let _a = etcd.serve("a").await;
    let client = etcd.client().await;
    client.is_answered_by(["a"]).await;
    let _b = etcd.serve("b").await;
    client.is_answered_by(["a", "b"]).await;
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn a_server_that_is_removed_finishes_its_calls() {
    let etcd = Etcd::start().await;
    let (_a, _b) = (etcd.serve("a").await, etcd.serve("b").await);
    let client = etcd.client().await;
    client.is_answered_by(["a", "b"]).await;

    let calls = client.slow_calls().await;
    let mut remover = connect(&etcd.target()).await.unwrap();
    remover.delete("services/whoami/b", None).await.unwrap();
    client.is_answered_by(["a"]).await;
    assert!(calls.iter().all(|call| !call.is_finished()), "too late");
    assert_eq!(answers(calls).await, ["a", "a", "b", "b"]);
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn a_server_that_stops_leaves_etcd_and_finishes_its_calls() {
    let etcd = Etcd::start().await;
    let (_a, b) = (etcd.serve("a").await, etcd.serve("b").await);
    let client = etcd.client().await;
    client.is_answered_by(["a", "b"]).await;

    let calls = client.slow_calls().await;
    let stopped = tokio::spawn(b.stop());
    while etcd.has("b").await {
        client.calls_for(Duration::from_millis(20)).await;
    }
    client.is_answered_by(["a"]).await;
    assert!(!stopped.is_finished(), "the server waits for its calls");
    assert_eq!(answers(calls).await, ["a", "a", "b", "b"]);
    stopped.await.unwrap();
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn a_server_whose_lease_expires_gets_no_more_calls() {
    let etcd = Etcd::start().await;
    let _a = etcd.serve("a").await;
    let client = etcd.client().await;
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let b = etcd.registration("b", address(&listener));
    let _b = serve("b", listener, pending());
    let registered = AbortOnDropHandle::new(tokio::spawn(async move {
        b.keep_until(pending()).await;
    }));
    client.is_answered_by(["a", "b"]).await;
    // Longer than its time to live.
    client.calls_for(Duration::from_secs(3)).await;
    client.is_answered_by(["a", "b"]).await;

    drop(registered);
    client.is_answered_by(["a"]).await;
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn the_servers_are_listed_again_when_one_is_lost_but_not_often() {
    let etcd = Etcd::start().await;
    let (_a, b) = (etcd.serve("a").await, etcd.serve("b").await);
    let client = etcd.client().await;
    client.is_answered_by(["a", "b"]).await;
    client.calls_for(Duration::from_secs(6)).await;
    assert_eq!(etcd.lists().await, 1);

    b.kill();
    let lost = Instant::now();
    while etcd.lists().await == 1 {
        assert!(lost.elapsed() < Duration::from_secs(3), "it was not listed");
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(etcd.lists().await, 2);
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn calls_go_on_while_etcd_is_away() {
    let mut etcd = Etcd::start().await;
    let (_a, b) = (etcd.serve("a").await, etcd.serve("b").await);
    let client = etcd.client().await;
    client.is_answered_by(["a", "b"]).await;

    etcd.kill().await;
    client.calls_for(Duration::from_secs(3)).await;
    client.is_answered_by(["a", "b"]).await;

    etcd.restart().await;
    let _c = etcd.serve("c").await;
    client.is_answered_by(["a", "b", "c"]).await;
    b.stop().await;
    client.is_answered_by(["a", "c"]).await;
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn servers_register_again_in_an_etcd_that_has_lost_them() {
    let mut etcd = Etcd::start().await;
    let (_a, _b) = (etcd.serve("a").await, etcd.serve("b").await);
    let client = etcd.client().await;
    client.is_answered_by(["a", "b"]).await;

    etcd.kill().await;
    etcd.forget_all();
    etcd.restart().await;
    for name in ["a", "b"] {
        while !etcd.has(name).await {
            client.ask(Duration::ZERO).await;
        }
    }
    client.is_answered_by(["a", "b"]).await;
}

#[tokio::test]
#[ignore = "needs etcd, which .ci/run installs"]
async fn without_etcd_calls_fail_or_wait_for_it() {
    let mut etcd = Etcd::stopped().await;
    let client = etcd.lazy_client();
    let status = client.0.ask(AskRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("etcd: "), "{}", status.message());

    let waiting = {
        let client = client.clone();
        tokio::spawn(async move {
            let reply = client.0.ask(AskRequest::default()).wait_for_ready(true);
            reply.await.unwrap().into_inner().name
        })
    };
    etcd.restart().await;
    let _a = etcd.serve("a").await;
    assert_eq!(waiting.await.unwrap(), "a");
}
