//! What a client sends to a server behind the preface of HTTP/2. The first byte of the input says in pieces of which size
//! the rest comes.
//!
//! A panic anywhere ends the target, though a server would survive it.

#![no_main]

mod echo;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Builder,
};
use wireloom::fuzzing::connect_to;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Of a clock that runs ahead while all wait.
const PATIENCE: Duration = Duration::from_secs(600);

fuzz_target!(|input: &[u8]| {
    let Some((size, sent)) = input.split_first() else {
        return;
    };
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("there is room for a runtime");
    runtime.block_on(async {
        let io = connect_to(echo::server()).expect("the server is valid");
        let (mut reader, mut writer) = tokio::io::split(io);
        let write = async {
            let pieces = std::iter::once(PREFACE).chain(sent.chunks(1 + usize::from(*size) * 16));
            for piece in pieces {
                // The server may have ended the connection.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let read = reader.read_to_end(&mut answer);
        let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(write, read) });
        let (_, read) = ended.await.expect("a connection ends with its client");
        read.expect("memory does not fail");
        assert_is_http2(&answer);
    });

    // Calls end with their connection.
    let metrics = runtime.metrics();
    runtime.block_on(async { tokio::time::sleep(PATIENCE).await });
    assert_eq!(metrics.num_alive_tasks(), 0);
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
