//! Messages out of DATA.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use tonic::Status;

use super::{HEADER_LEN, MAX_RECEIVE, too_large};
use crate::compression::Compression;

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
    use crate::frame::*;

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
}
