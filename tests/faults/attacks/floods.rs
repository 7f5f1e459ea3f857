//! Frames that are cheap to send, and have to be read, answered or acted on.

use wireloom_peer::raw::{END_HEADERS, Ended, call, frame, head, kind, message, settings};

use super::{CLIENT_STREAM, HANGS, MIB, Siege, UNARY, calm};

#[tokio::test]
async fn a_flood_of_pings_is_ended_at_the_third_that_comes_too_early() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege
        .flood(|n| frame(kind::PING, 0, 0, &u64::from(n).to_be_bytes()))
        .await;
    assert_eq!(ended, calm("too_many_pings"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_answers_to_pings_that_nobody_sent_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege.flood(|_| frame(kind::PING, 1, 0, &[7; 8])).await;
    assert_eq!(ended, calm("too_many_control_frames"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_settings_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege.flood(|n| settings(&[(4, 1000 + n)])).await;
    assert_eq!(ended, calm("too_many_control_frames"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_priorities_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege.flood(|n| frame(kind::PRIORITY, 0, n, &[0; 5])).await;
    assert_eq!(ended, calm("too_many_control_frames"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_frames_of_no_known_kind_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege.flood(|_| frame(0x42, 0, 0, b"what is this")).await;
    assert_eq!(ended, calm("too_many_control_frames"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_window_updates_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let ended = siege
        .flood(|_| frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))
        .await;
    assert_eq!(ended, calm("too_many_window_updates"));
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_resets_of_streams_that_have_ended_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    attacker.send(&call(1, UNARY, b"")).await.unwrap();
    let flooded = attacker.flood(super::FLOOD, |_| frame(kind::RST_STREAM, 0, 1, &[0; 4]));
    let ended = flooded.await.expect("the server lets the flood go on");
    assert!(matches!(ended, Ended::GoneAway(..)), "{ended:?}");
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn a_flood_of_empty_data_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    let open = frame(kind::HEADERS, END_HEADERS, 1, &head(CLIENT_STREAM));
    attacker.send(&open).await.unwrap();
    let flooded = attacker.flood(super::FLOOD, |_| frame(kind::DATA, 0, 1, &[]));
    let ended = flooded.await.expect("the server lets the flood go on");
    assert!(
        matches!(ended, Ended::GoneAway(code, _) if code == 11),
        "{ended:?}"
    );
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn data_of_a_byte_each_that_nobody_reads_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    let mut open = frame(kind::HEADERS, END_HEADERS, 1, &head(CLIENT_STREAM));
    open.extend(frame(kind::DATA, 0, 1, &message(HANGS)));
    attacker.send(&open).await.unwrap();
    let flooded = attacker.flood(super::FLOOD, |_| frame(kind::DATA, 0, 1, &[0]));
    let ended = flooded.await.expect("the server lets the flood go on");
    assert!(
        matches!(ended, Ended::GoneAway(code, _) if code == 11),
        "{ended:?}"
    );
    siege.ends_with_at_most(40 * MIB).await;
}

#[tokio::test]
async fn a_flood_of_continuations_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    let open = frame(kind::HEADERS, 0, 1, &head(UNARY));
    attacker.send(&open).await.unwrap();
    let flooded = attacker.flood(super::FLOOD, |_| frame(kind::CONTINUATION, 0, 1, &[]));
    let ended = flooded.await.expect("the server lets the flood go on");
    assert_eq!(ended, calm("too_many_continuations"));
    siege.ends_with_at_most(MIB).await;
}
