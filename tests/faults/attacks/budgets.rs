//! What may be cheap to send is bounded by the budgets that the server was given.

use wireloom::server::Budget;
use wireloom_peer::raw::{END_HEADERS, call, frame, head, kind, settings};

use super::{HANGS, MIB, Siege, UNARY, calm};

/// Less than attackers send here.
const FEW: Budget = Budget {
    burst: 20,
    per_second: 0,
};

/// Sends what `next` makes, a hundred times, which is far less than what the server takes by default, and is ended.
async fn is_ended(server: wireloom::Server, next: impl Fn(u32) -> Vec<u8>, flood: &str) {
    let siege = Siege::lay(server).await;
    let mut attacker = siege.attacker().await;
    let sent: Vec<u8> = (0..100).flat_map(|n| next(2 * n + 1)).collect();
    attacker.send(&sent).await.unwrap();
    assert_eq!(attacker.ended().await, calm(flood));
    drop(attacker);
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn control_frames_have_their_budget() {
    let server = wireloom::Server::builder().control_frame_budget(FEW);
    let settings = |n| settings(&[(4, 1000 + n)]);
    is_ended(server, settings, "too_many_control_frames").await;
}

#[tokio::test]
async fn window_updates_have_their_budget() {
    let server = wireloom::Server::builder().window_update_budget(FEW);
    let update = |_| frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    is_ended(server, update, "too_many_window_updates").await;
}

#[tokio::test]
async fn resets_have_their_budget() {
    let server = wireloom::Server::builder().reset_budget(FEW);
    let cancelled = |stream| {
        let mut calls = call(stream, UNARY, HANGS);
        calls.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        calls
    };
    is_ended(server, cancelled, "too_many_resets").await;
}

#[tokio::test]
async fn refused_streams_have_their_budget() {
    let server = wireloom::Server::builder()
        .max_concurrent_streams(10)
        .refused_stream_budget(FEW);
    let head = head(UNARY);
    let opened = |stream| frame(kind::HEADERS, END_HEADERS, stream, &head);
    is_ended(server, opened, "too_many_refused_streams").await;
}
