//! Peers that do not read, so that what they are sent stays.

use std::time::Duration;

use wireloom_peer::raw::{call, frame, kind};

use super::{MIB, SERVER_STREAM, Siege, UNARY};
use crate::until;

/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

/// A task that streams many outcomes of ten kilobytes.
fn large_stream() -> Vec<u8> {
    let name = "x".repeat(10_000);
    let mut task = vec![0x0a, 0x90, 0x4e];
    task.extend_from_slice(name.as_bytes());
    // `count`
    task.extend_from_slice(&[0x10, 0xff, 0x7f]);
    task
}

#[tokio::test]
async fn streams_to_a_peer_without_a_window_wait_and_keep_little() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker_with(&[(WINDOW, 0)]).await;
    for n in 0..200 {
        let call = call(2 * n + 1, SERVER_STREAM, &large_stream());
        attacker.send(&call).await.unwrap();
    }
    until(|| siege.server.calls() >= 200).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(attacker);
    // For each the request, of 10 KiB, and a batch of four outcomes in a buffer that may have doubled.
    siege.ends_with_at_most(24 * MIB).await;
}

/// It promises room without end, and takes nothing.
#[tokio::test]
async fn streams_to_a_peer_with_large_windows_that_does_not_read_keep_little() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let most = u32::MAX >> 1;
    let mut attacker = siege.attacker_with(&[(WINDOW, most)]).await;
    let more = (most - 65_535).to_be_bytes();
    let update = frame(kind::WINDOW_UPDATE, 0, 0, &more);
    attacker.send(&update).await.unwrap();
    for n in 0..200 {
        let call = call(2 * n + 1, SERVER_STREAM, &large_stream());
        attacker.send(&call).await.unwrap();
    }
    // Once what is unsent has used up its budget, others wait before their handlers.
    until(|| siege.server.calls() >= 20).await;
    // Long enough for what is kept to grow, were there no bound.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(attacker);
    // For each what waits for the socket, the batch behind that, and its request.
    siege.ends_with_at_most(64 * MIB).await;
}

#[tokio::test]
async fn streams_to_a_peer_without_a_window_keep_no_more_than_a_connection_may() {
    let server = wireloom::Server::builder().max_unsent_bytes(MIB as usize);
    let siege = Siege::lay(server).await;
    let mut attacker = siege.attacker_with(&[(WINDOW, 0)]).await;
    for n in 0..200 {
        let call = call(2 * n + 1, SERVER_STREAM, &large_stream());
        attacker.send(&call).await.unwrap();
    }
    until(|| siege.most_held() >= MIB).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(attacker);
    // The requests, twice, of 10 KiB each, and the batches of a mebibyte in buffers that may have doubled.
    siege.ends_with_at_most(8 * MIB).await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_of_what_is_written_is_ended() {
    let server = wireloom::Server::builder()
        .min_ping_interval(Duration::ZERO)
        .without_flood_protection()
        .write_stall_timeout(Duration::from_millis(300));
    let siege = Siege::lay(server).await;
    let mut attacker = siege.attacker().await;
    // Each is answered, until nothing more goes through either way; then the connection is reset.
    let ping = frame(kind::PING, 0, 0, &[7; 8]);
    let pings: Vec<_> = ping.iter().copied().cycle().take(17 << 10).collect();
    while attacker.send(&pings).await.is_ok() {}
    siege.ends_with_at_most(4 * MIB).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_by_the_calls_of_a_connection() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker_with(&[(WINDOW, 0)]).await;
    let mut task = vec![0x0a, 0x90, 0x4e];
    task.extend_from_slice("x".repeat(10_000).as_bytes());
    let ended = siege.server.ended_calls();
    for n in 0..400 {
        attacker.send(&call(2 * n + 1, UNARY, &task)).await.unwrap();
    }
    until(|| siege.server.ended_calls() >= ended + 250).await;
    drop(attacker);
    siege.ends_with_at_most(16 * MIB).await;
}
