//! Faults of a network of two machines, which are network namespaces, and names in a hosts file of the test's own.
//!
//! Needs Linux, root, iproute2 and nftables. Threads enter the namespaces; no other process is needed.

mod hosts;
mod wire;

use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use wireloom::{Channel, Code};

use self::wire::{TARGET, Wire};
use crate::load::{Load, Tally};
use crate::proto::probe::ProbeClient;
use crate::{LONG, client, streaming, task};

const DEADLINE: Duration = Duration::from_millis(500);

fn calls(client: &ProbeClient, timeout: Duration) -> Load {
    let client = client.clone();
    Load::start(4, timeout, move || {
        client.unary(task("a")).timeout(timeout).into_future()
    })
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn calls_end_at_their_deadlines_while_a_link_is_down_and_go_on_when_it_is_up() {
    Wire::new().run(async |wire| {
        let client = client(TARGET, |builder| builder);
        let load = calls(&client, DEADLINE);
        load.until_succeeded(100).await;
        wire.at_server("ip link set wire down");
        load.until_failed(8).await;
        wire.at_server("ip link set wire up");
        load.until_succeeded(100).await;
        let tally = load.stop().await;
        tally.assert_all(&[Code::Ok, Code::DeadlineExceeded]);
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn a_machine_that_has_lost_its_own_link_fails_calls_in_time() {
    Wire::new().run(async |wire| {
        wire.at_client("ip link set wire down");
        let client = client(TARGET, |builder| builder);
        let mut tally = Tally::default();
        for _ in 0..5 {
            let call = client.unary(task("a")).timeout(DEADLINE);
            let _ = tally.count(DEADLINE, call).await;
        }
        tally.assert_all(&[Code::Unavailable]);
        let call = client.unary(task("a")).wait_for_ready(true).timeout(LONG);
        let waiting = tokio::spawn(call.into_future());
        wire.at_client("ip link set wire up");
        waiting.await.unwrap().unwrap();
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn packets_that_are_lost_cost_time_but_no_call() {
    Wire::new().run(async |wire| {
        let lossy = "nft add rule inet faults input numgen random mod 100 < 5 drop";
        wire.at_server(lossy);
        wire.at_client(lossy);
        let client = client(TARGET, |builder| builder);
        let load = calls(&client, LONG);
        load.until_succeeded(200).await;
        load.stop().await.assert_all(&[Code::Ok]);
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn a_link_of_a_megabit_carries_what_it_can_and_calls_beside_a_stream() {
    Wire::new().run(async |wire| {
        wire.at_server("tc qdisc add dev wire root tbf rate 1mbit burst 32kbit latency 400ms");
        let client = client(TARGET, |builder| builder);
        let load = calls(&client, LONG);
        load.until_succeeded(10).await;
        let started = Instant::now();
        let call = client.server_stream(streaming(20, 10_000)).timeout(LONG);
        let mut outcomes = call.await.unwrap().into_inner();
        while outcomes.message().await.unwrap().is_some() {}
        // 200 kB are 1.6 seconds of it.
        let took = started.elapsed();
        assert!(took > Duration::from_millis(1200), "{took:?}");
        load.until_succeeded(10).await;
        load.stop().await.assert_all(&[Code::Ok]);
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn a_connection_whose_packets_are_dropped_is_replaced_by_keepalive() {
    Wire::new().run(async |wire| {
        let client = client(TARGET, |builder| {
            builder
                .keepalive(Duration::from_secs(10))
                .keepalive_timeout(DEADLINE)
        });
        client.unary(task("a")).timeout(LONG).await.unwrap();
        let hanging = client.unary(crate::hanging());
        let hanging = hanging.timeout(Duration::from_secs(60)).into_future();
        let hanging = tokio::spawn(hanging);
        // One more answer, so that the other has been sent.
        client.unary(task("a")).timeout(LONG).await.unwrap();
        wire.at_server("nft add rule inet faults input drop");
        // The wait for silence is not waited for.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        let mut tally = Tally::default();
        let _ = tally.count(LONG, async { hanging.await.unwrap() }).await;
        tally.assert_all(&[Code::Unavailable]);
        wire.at_server("nft flush chain inet faults input");
        let call = client.unary(task("a")).wait_for_ready(true).timeout(LONG);
        call.await.unwrap();
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn an_address_that_swallows_packets_fails_calls_within_the_time_to_connect_or_at_their_deadline() {
    Wire::new().run(async |wire| {
        wire.at_server("nft add rule inet faults input drop");
        let mut tally = Tally::default();
        let hasty = client(TARGET, |builder| builder.connect_timeout(DEADLINE));
        let _ = tally
            .count(DEADLINE, hasty.unary(task("a")).timeout(LONG))
            .await;
        tally.assert_all(&[Code::Unavailable]);

        let mut tally = Tally::default();
        let patient = client(TARGET, |builder| builder);
        for _ in 0..3 {
            let call = patient.unary(task("a")).timeout(DEADLINE);
            let _ = tally.count(DEADLINE, call).await;
        }
        tally.assert_all(&[Code::DeadlineExceeded]);
    });
}

#[test]
#[ignore = "needs root, iproute2 and nftables, which .ci/run installs"]
fn a_firewall_that_resets_connections_fails_calls_as_unavailable() {
    Wire::new().run(async |wire| {
        let channel = Channel::connect(TARGET).await.unwrap();
        let client = ProbeClient::new(channel);
        let load = calls(&client, LONG);
        load.until_succeeded(50).await;
        wire.at_server("nft add rule inet faults input meta l4proto tcp reject with tcp reset");
        load.until_failed(20).await;
        wire.at_server("nft flush chain inet faults input");
        let call = client.unary(task("a")).wait_for_ready(true).timeout(LONG);
        call.await.unwrap();
        load.until_succeeded(50).await;
        let tally = load.stop().await;
        tally.assert_all(&[Code::Ok, Code::Unavailable]);
    });
}
