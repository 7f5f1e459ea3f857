//! Metadata that is too large, or becomes so.

use wireloom_peer::raw::{END_HEADERS, END_STREAM, field, frame, head, kind};

use super::{MIB, Siege, UNARY, calm};

#[tokio::test]
async fn a_call_with_metadata_over_the_limit_is_refused_alone() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    let mut block = head(UNARY);
    block.extend(field("x", &"x".repeat(16_200)));
    let flags = END_HEADERS | END_STREAM;
    attacker
        .send(&frame(kind::HEADERS, flags, 1, &block))
        .await
        .unwrap();
    let answer = attacker.until(kind::HEADERS).await.unwrap().unwrap();
    // `:status` as the static table has it, and 431 in Huffman's code.
    assert_eq!(answer.payload[..], [0x48, 0x83, 0x69, 0x90, 0xff]);
    // Another call is served.
    let next = wireloom_peer::raw::call(3, UNARY, b"");
    attacker.send(&next).await.unwrap();
    let data = attacker.until(kind::DATA).await.unwrap().unwrap();
    assert_eq!(data.stream, 3);
    drop(attacker);
    siege.ends_with_at_most(MIB).await;
}

/// A field of four kilobytes goes into the table once, and is then named by a byte each.
#[tokio::test]
async fn a_bomb_of_hpack_is_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut block = head(UNARY);
    let mut kept = field("x", &"x".repeat(3900));
    // Literal with incremental indexing.
    kept[0] = 0x40;
    block.extend(kept);
    // The first entry of the dynamic table.
    block.extend([0x80 | 62; 8000]);
    let mut attacker = siege.attacker().await;
    let bomb = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block);
    attacker.send(&bomb).await.unwrap();
    assert_eq!(attacker.ended().await, calm("header_list_way_too_large"));
    drop(attacker);
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn header_lists_without_an_end_are_ended() {
    let siege = Siege::lay(wireloom::Server::builder()).await;
    let mut attacker = siege.attacker().await;
    let open = frame(kind::HEADERS, 0, 1, &head(UNARY));
    attacker.send(&open).await.unwrap();
    let more = field("x", &"x".repeat(8000));
    let flooded = attacker.flood(super::FLOOD, |_| frame(kind::CONTINUATION, 0, 1, &more));
    let ended = flooded.await.expect("the server lets the flood go on");
    // Of two limits, the number of frames is reached first.
    assert_eq!(ended, calm("too_many_continuations"));
    drop(attacker);
    siege.ends_with_at_most(MIB).await;
}
