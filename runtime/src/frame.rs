//! Length-prefixed messages: the frames of gRPC inside HTTP/2 DATA.

use std::collections::VecDeque;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use prost::Message;
use tonic::Status;

use crate::compression::Compression;

/// The settings that limit messages, as errors name them.
pub(crate) const MAX_RECEIVE: &str = "max_receive_message_size";
pub(crate) const MAX_SEND: &str = "max_send_message_size";

/// One byte of flags, four of length.
pub(crate) const HEADER_LEN: usize = 5;

/// The most bytes that can be sent at once: what a window of HTTP/2 can ever have (RFC 9113 section 6.9.1), and so what
/// h2 takes.
pub(crate) const MAX_DATA_LEN: usize = (1 << 31) - 1;

/// Appends `message` as one frame.
pub(crate) fn encode_into(message: &impl Message, out: &mut BytesMut) -> Result<(), Status> {
    let len = message.encoded_len();
    let prefix = prefix_of(len)?;
    out.reserve(HEADER_LEN + len);
    out.put_u8(0);
    out.put_u32(prefix);
    message.encode_raw(out);
    Ok(())
}

fn prefix_of(len: usize) -> Result<u32, Status> {
    let fits = len <= MAX_DATA_LEN - HEADER_LEN;
    let prefix = fits.then(|| u32::try_from(len).ok()).flatten();
    prefix.ok_or_else(|| {
        Status::resource_exhausted(format!(
            "the message to send has {len} bytes; HTTP/2 takes frames of less than 2 GiB"
        ))
    })
}

/// Encodes `message` as one frame.
pub(crate) fn encode(message: &impl Message) -> Result<Bytes, Status> {
    let mut out = BytesMut::new();
    encode_into(message, &mut out)?;
    Ok(out.freeze())
}

/// The most that the frames of a stream share.
const MAX_SHARED: usize = 8 << 10;

/// Encodes the messages of a stream. Small ones share a piece of memory, as large as what has been sent before: the first
/// message takes no more than it needs, and one of many costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct FrameEncoder {
    shared: BytesMut,
    encoded: usize,
}

impl FrameEncoder {
    /// Encodes `message` as one frame.
    pub(crate) fn encode(&mut self, message: &impl Message) -> Result<Bytes, Status> {
        if self.shared.capacity() == 0 {
            self.shared.reserve(self.encoded.min(MAX_SHARED));
        }
        encode_into(message, &mut self.shared)?;
        let frame = self.shared.split().freeze();
        if self.shared.capacity() < frame.len() {
            // The next will hardly fit; what is left must not keep the piece.
            self.shared = BytesMut::new();
        }
        self.encoded = self.encoded.saturating_add(frame.len());
        Ok(frame)
    }
}

/// Decodes the bytes of one message.
pub(crate) fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| undecodable(&error))
}

/// The status for a message that is not what it should be.
pub(crate) fn undecodable(error: &prost::DecodeError) -> Status {
    Status::internal(format!("the message could not be decoded: {error}"))
}

/// The frame of a message with its message compressed.
pub(crate) fn compress(mut frame: Bytes, compression: Compression) -> Result<Bytes, Status> {
    if compression == Compression::Identity {
        return Ok(frame);
    }
    frame.advance(HEADER_LEN);
    let message = compression.compress(&frame)?;
    let mut out = BytesMut::new();
    put(COMPRESSED, &message, &mut out)?;
    Ok(out.freeze())
}

/// The frame of an encoded message.
#[cfg(all(feature = "validation", feature = "tonic"))]
pub(crate) fn of_message(message: &[u8]) -> Result<Bytes, Status> {
    let mut out = BytesMut::new();
    put(0, message, &mut out)?;
    Ok(out.freeze())
}

/// The flags of a frame whose message is compressed.
const COMPRESSED: u8 = 1;

fn put(flags: u8, message: &[u8], out: &mut BytesMut) -> Result<(), Status> {
    let prefix = prefix_of(message.len())?;
    out.reserve(HEADER_LEN + message.len());
    out.put_u8(flags);
    out.put_u32(prefix);
    out.extend_from_slice(message);
    Ok(())
}

/// Compresses the message of the one frame behind the first `start` bytes, unless that makes it no smaller; whether it did.
pub(crate) fn compress_last(
    out: &mut BytesMut,
    start: usize,
    compression: Compression,
) -> Result<bool, Status> {
    let message = &out[start + HEADER_LEN..];
    let compressed = compression.compress(message)?;
    let is_smaller = compressed.len() < message.len();
    if is_smaller {
        out.truncate(start);
        put(COMPRESSED, &compressed, out)?;
    }
    Ok(is_smaller)
}

/// The status of a message over the limit that a setting sets.
pub(crate) fn too_large(what: &str, setting: &str, max_size: usize) -> Status {
    Status::resource_exhausted(format!("{what}; {setting} is {max_size}"))
}

/// The status of a message that is too large for the sender's own limit.
pub(crate) fn too_large_to_send(size: usize, max_size: usize) -> Status {
    let what = format!("the message to send has {size} bytes");
    too_large(&what, MAX_SEND, max_size)
}

/// Follows the frames in DATA that passes by, in whatever pieces.
#[derive(Debug, Default)]
pub(crate) struct FrameScanner {
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// What is to come of the current message.
    left: usize,
}

impl FrameScanner {
    /// Calls `on_message` with the size of each message that begins in `data`.
    pub(crate) fn scan(&mut self, mut data: &[u8], mut on_message: impl FnMut(usize)) {
        while !data.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data = &data[passed..];
                continue;
            }
            let taken = (HEADER_LEN - self.header_len).min(data.len());
            self.header[self.header_len..self.header_len + taken].copy_from_slice(&data[..taken]);
            self.header_len += taken;
            data = &data[taken..];
            if self.header_len == HEADER_LEN {
                let [_, len @ ..] = self.header;
                self.left = u32::from_be_bytes(len) as usize;
                self.header_len = 0;
                on_message(self.left);
            }
        }
    }
}

/// What a frame begins with.
struct Prefix {
    compressed: bool,
    len: usize,
}

/// Pieces of a message below this size are copied together: kept apart, each would take some fifty bytes beside its own, and
/// hold the buffer that it was read into.
const SMALL_PIECE: usize = 1 << 10;

/// Takes frames out of DATA as it arrives, in whatever pieces.
#[derive(Debug)]
pub(crate) struct FrameReader {
    /// Where all is in one piece, as small messages are, this is it.
    first: Bytes,
    /// The pieces that came after `first`.
    chunks: VecDeque<Bytes>,
    /// The small pieces that came after `chunks`.
    small: BytesMut,
    buffered: usize,
    max_message_size: usize,
    compression: Compression,
}

impl FrameReader {
    /// A reader of messages of at most `max_message_size` bytes, of which those that say so are compressed.
    pub(crate) fn new(max_message_size: usize, compression: Compression) -> Self {
        Self {
            first: Bytes::new(),
            chunks: VecDeque::new(),
            small: BytesMut::new(),
            buffered: 0,
            max_message_size,
            compression,
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        // As a rule, the first piece holds a whole message: it is not copied.
        let follows = self.buffered > 0;
        self.buffered += chunk.len();
        if !follows {
            self.first = chunk;
        } else if chunk.len() < SMALL_PIECE {
            self.small.extend_from_slice(&chunk);
        } else {
            self.settle();
            self.chunks.push_back(chunk);
        }
    }

    /// Puts the small pieces where they belong, before what comes next.
    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }

    /// Forgets the DATA so far.
    pub(crate) fn clear(&mut self) {
        self.first = Bytes::new();
        self.chunks.clear();
        self.small = BytesMut::new();
        self.buffered = 0;
    }

    /// Whether the DATA so far ends where a frame ends.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffered == 0
    }

    /// Takes the bytes of the next whole message, or `None` until more DATA has come.
    ///
    /// # Errors
    ///
    /// INTERNAL for a malformed frame, RESOURCE_EXHAUSTED for a message over the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(Prefix { compressed, len }) = self.peek_prefix()? else {
            return Ok(None);
        };
        if self.buffered < HEADER_LEN + len {
            return Ok(None);
        }
        let mut message = self.take(HEADER_LEN + len);
        message.advance(HEADER_LEN);
        if compressed {
            message = self
                .compression
                .decompress(message, self.max_message_size)?;
        }
        Ok(Some(message))
    }

    /// What the next frame begins with, once that is there.
    fn peek_prefix(&self) -> Result<Option<Prefix>, Status> {
        if self.buffered < HEADER_LEN {
            return Ok(None);
        }
        let first = self.first.first_chunk();
        let [flags, len @ ..] = first.copied().unwrap_or_else(|| self.gather_header());
        let compressed = match flags {
            0 => false,
            1 if self.compression == Compression::Identity => {
                return Err(Status::internal(
                    "received a compressed message, but grpc-encoding names no compression that this build has",
                ));
            }
            1 => true,
            flags => {
                return Err(Status::internal(format!(
                    "received a frame with unknown flags {flags:#04x}"
                )));
            }
        };
        let len = u32::from_be_bytes(len) as usize;
        if len > self.max_message_size {
            return Err(too_large(
                &format!("received a message of {len} bytes"),
                MAX_RECEIVE,
                self.max_message_size,
            ));
        }
        Ok(Some(Prefix { compressed, len }))
    }

    /// What the next frame begins with, out of several pieces.
    fn gather_header(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let bytes = self
            .first
            .iter()
            .chain(self.chunks.iter().flatten())
            .chain(&self.small);
        header
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        header
    }

    /// The next `len` buffered bytes; without a copy where one chunk holds them all.
    fn take(&mut self, len: usize) -> Bytes {
        self.buffered -= len;
        if self.first.len() > len {
            return self.first.split_to(len);
        }
        self.settle();
        if self.first.len() == len {
            return self.take_first();
        }
        let mut taken = BytesMut::with_capacity(len);
        while taken.len() < len {
            let left = len - taken.len();
            let part = match self.first.len() > left {
                true => self.first.split_to(left),
                false => self.take_first(),
            };
            taken.extend_from_slice(&part);
        }
        taken.freeze()
    }

    /// The first piece; what comes after it is the first then.
    fn take_first(&mut self) -> Bytes {
        let next = self.chunks.pop_front().unwrap_or_default();
        std::mem::replace(&mut self.first, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024;

    #[test]
    fn messages_come_out_whole_however_the_data_is_cut() {
        let mut wire = BytesMut::new();
        for message in ["one", "", "three"] {
            encode_into(&message.to_string(), &mut wire).unwrap();
        }
        for size in 1..=wire.len() {
            let mut reader = FrameReader::new(LIMIT, Compression::Identity);
            let mut messages: Vec<String> = Vec::new();
            for chunk in wire.chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                while let Some(message) = reader.next().unwrap() {
                    messages.push(decode(message).unwrap());
                }
            }
            assert_eq!(messages, ["one", "", "three"]);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn messages_come_out_whole_of_pieces_small_and_large() {
        let mut wire = BytesMut::new();
        let messages: Vec<_> = (0..20).map(|n| "x".repeat(n * 300)).collect();
        for message in &messages {
            encode_into(message, &mut wire).unwrap();
        }
        let mut reader = FrameReader::new(wire.len(), Compression::Identity);
        let mut sizes = [1, SMALL_PIECE, 3, 5, 2 * SMALL_PIECE, SMALL_PIECE - 1]
            .into_iter()
            .cycle();
        let mut read: Vec<String> = Vec::new();
        while !wire.is_empty() {
            let size = sizes.next().unwrap().min(wire.len());
            reader.push(wire.split_to(size).freeze());
            while let Some(message) = reader.next().unwrap() {
                read.push(decode(message).unwrap());
            }
        }
        assert_eq!(read, messages);
        assert!(reader.is_empty());
    }

    #[test]
    fn small_pieces_of_a_message_are_kept_together() {
        let wire = encode(&"x".repeat(LIMIT - 3)).unwrap();
        let mut reader = FrameReader::new(LIMIT, Compression::Identity);
        for piece in wire.chunks(1) {
            assert_eq!(reader.next().unwrap(), None);
            reader.push(Bytes::copy_from_slice(piece));
        }
        assert!(reader.chunks.len() <= 2, "{}", reader.chunks.len());
        let message = reader.next().unwrap().unwrap();
        assert_eq!(decode::<String>(message).unwrap(), "x".repeat(LIMIT - 3));
    }

    #[test]
    fn the_frames_of_a_stream_are_those_of_its_messages() {
        let mut encoder = FrameEncoder::default();
        for len in (0..400).chain([MAX_SHARED, 3, 2 * MAX_SHARED, 5]) {
            let message = "x".repeat(len);
            assert_eq!(encoder.encode(&message).unwrap(), encode(&message).unwrap());
        }
    }

    #[test]
    fn the_first_frame_of_a_stream_keeps_no_more_than_its_own_bytes() {
        let mut encoder = FrameEncoder::default();
        encoder.encode(&"the only one".to_string()).unwrap();
        assert_eq!(encoder.shared.capacity(), 0);
    }

    #[test]
    fn a_message_over_the_limit_names_the_setting() {
        let mut reader = FrameReader::new(2, Compression::Identity);
        reader.push(encode(&"long".to_string()).unwrap());
        let status = reader.next().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("max_receive_message_size"));
    }

    #[test]
    fn compressed_and_unknown_flags_are_refused() {
        for flags in [1, 2, 0xff] {
            let mut reader = FrameReader::new(LIMIT, Compression::Identity);
            reader.push(Bytes::from(vec![flags, 0, 0, 0, 0]));
            assert_eq!(reader.next().unwrap_err().code(), tonic::Code::Internal);
        }
    }

    #[test]
    fn a_message_that_http_2_cannot_carry_is_refused() {
        let at_most = MAX_DATA_LEN - HEADER_LEN;
        assert_eq!(prefix_of(at_most).unwrap() as usize, at_most);
        for len in [at_most + 1, 1 << 31, u32::MAX as usize] {
            let status = prefix_of(len).unwrap_err();
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        }
    }

    #[test]
    fn a_scanner_sees_each_message_s_size_however_the_data_is_cut() {
        let mut wire = BytesMut::new();
        for message in ["one", "", "three"] {
            encode_into(&message.to_string(), &mut wire).unwrap();
        }
        for size in 1..=wire.len() {
            let (mut scanner, mut sizes) = (FrameScanner::default(), Vec::new());
            for chunk in wire.chunks(size) {
                scanner.scan(chunk, |size| sizes.push(size));
            }
            assert_eq!(sizes, [5, 0, 7]);
        }
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn a_message_that_decompresses_to_more_than_the_limit_is_refused() {
        let frame = compress(encode(&"x".repeat(LIMIT)).unwrap(), Compression::Gzip).unwrap();
        let mut reader = FrameReader::new(LIMIT, Compression::Gzip);
        assert!(frame.len() < LIMIT);
        reader.push(frame);
        let status = reader.next().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains(MAX_RECEIVE), "{status}");
    }

    #[cfg(all(feature = "gzip", feature = "zstd"))]
    #[test]
    fn compressed_messages_come_out_as_they_were() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let frame = encode(&"some text".to_string()).unwrap();
            let mut reader = FrameReader::new(LIMIT, compression);
            reader.push(compress(frame, compression).unwrap());
            let message = reader.next().unwrap().unwrap();
            assert_eq!(decode::<String>(message).unwrap(), "some text");

            reader.push(Bytes::from_static(&[1, 0, 0, 0, 2, 7, 7]));
            assert_eq!(reader.next().unwrap_err().code(), tonic::Code::Internal);
        }
    }

    #[test]
    fn a_message_that_is_not_protobuf_is_refused() {
        let status = decode::<String>(Bytes::from_static(&[0xff])).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }
}
