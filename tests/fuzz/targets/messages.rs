//! Messages in DATA, compressed or not: the first byte of the input says how, the second in pieces of which size they come.
//! The rest is what a peer sends; and it is messages, of a line each, that are written and read again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wireloom::{
    Code, Compression,
    fuzzing::{read_messages, write_message},
};

const LIMIT: usize = 1 << 10;

/// To begin to compress takes long beside all else.
const MOST_WRITTEN: usize = 8;

fuzz_target!(|input: &[u8]| {
    let [compression, size, rest @ ..] = input else {
        return;
    };
    let compression = match compression % 3 {
        0 => Compression::Identity,
        1 => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let size = 1 + usize::from(*size);
    as_it_comes(rest, size, compression);
    survive_the_wire(rest, size, compression);
});

fn as_it_comes(data: &[u8], size: usize, compression: Compression) {
    let (messages, ended) = read_messages(pieces(data, size), LIMIT, compression);
    assert!(messages.iter().all(|message| message.len() <= LIMIT));
    if let Err(error) = ended {
        assert!(matches!(
            error.code(),
            Code::Internal | Code::ResourceExhausted
        ));
    }
    // However it is cut, it says the same.
    let (whole, _) = read_messages(pieces(data, usize::MAX), LIMIT, compression);
    assert_eq!(messages, whole);

    // What is not compressed is there as it came.
    let mut rest = data;
    for message in messages {
        let Some((&[flags, len @ ..], after)) = rest.split_first_chunk::<5>() else {
            panic!("a message without a frame");
        };
        let (sent, after) = after.split_at(u32::from_be_bytes(len) as usize);
        assert!(flags == 1 || message == sent);
        rest = after;
    }
}

fn survive_the_wire(input: &[u8], size: usize, compression: Compression) {
    let messages = input.split(|byte| *byte == b'\n').take(MOST_WRITTEN);
    let messages: Vec<_> = messages.collect();
    let frames = messages
        .iter()
        .map(|message| write_message(message, compression));
    let frames: Vec<_> = frames.map(|frame| frame.expect("it is small")).collect();
    let (read, ended) = read_messages(pieces(&frames.concat(), size), LIMIT, compression);
    // What cannot be compressed becomes longer than it was, and what is over the limit may be refused by its frame already.
    let fits =
        |(message, frame): (&&[u8], &Bytes)| message.len() <= LIMIT && frame.len() - 5 <= LIMIT;
    let fitting = messages
        .iter()
        .zip(&frames)
        .take_while(|one| fits(*one))
        .count();
    assert_eq!(read, messages[..fitting]);
    assert_eq!(ended.is_ok(), fitting == messages.len());
    if let Err(error) = ended {
        assert_eq!(error.code(), Code::ResourceExhausted);
    }
}

fn pieces(data: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    data.chunks(size).map(Bytes::copy_from_slice)
}
