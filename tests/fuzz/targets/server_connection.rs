//! What a client sends to a server behind the preface of HTTP/2. The first byte of the input says in pieces of which size
//! the rest comes.
//!
//! A panic anywhere ends the target, though a server would survive it.

#![no_main]

mod connection;
mod echo;

use libfuzzer_sys::fuzz_target;
use wireloom::fuzzing::connect_to;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((size, sent)) = input.split_first() else {
        return;
    };
    let pieces = std::iter::once(PREFACE).chain(sent.chunks(1 + usize::from(*size) * 16));
    let answer = connection::converse(|| connect_to(echo::server()), pieces);
    assert_is_http2(&answer);
});

/// Frames of the lengths that they state, the first of which is SETTINGS.
fn assert_is_http2(mut answer: &[u8]) {
    let is_settings = |header: &[u8]| header[3] == 4;
    assert!(answer.is_empty() || is_settings(answer));
    while let Some((header, rest)) = answer.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let (_, rest) = rest
            .split_at_checked(length as usize)
            .expect("a frame is whole");
        answer = rest;
    }
    assert!(answer.is_empty(), "a header is whole");
}
