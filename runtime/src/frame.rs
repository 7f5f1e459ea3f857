//! Length-prefixed messages: the frames of gRPC inside HTTP/2 DATA.

use std::collections::VecDeque;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use prost::Message;
use tonic::Status;

/// One byte of flags, four of length.
pub(crate) const HEADER_LEN: usize = 5;

/// Appends `message` as one frame.
pub(crate) fn encode_into(message: &impl Message, out: &mut BytesMut) -> Result<(), Status> {
    let len = message.encoded_len();
    let prefix = u32::try_from(len).map_err(|_| {
        Status::resource_exhausted(format!(
            "the message has {len} bytes; a frame holds at most 4 GiB"
        ))
    })?;
    out.reserve(HEADER_LEN + len);
    out.put_u8(0);
    out.put_u32(prefix);
    message.encode_raw(out);
    Ok(())
}

/// Encodes `message` as one frame.
pub(crate) fn encode(message: &impl Message) -> Result<Bytes, Status> {
    let mut out = BytesMut::new();
    encode_into(message, &mut out)?;
    Ok(out.freeze())
}

/// Decodes the bytes of one message.
pub(crate) fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message)
        .map_err(|error| Status::internal(format!("the message could not be decoded: {error}")))
}

/// Takes frames out of DATA as it arrives, in whatever pieces.
#[derive(Debug)]
pub(crate) struct FrameReader {
    chunks: VecDeque<Bytes>,
    buffered: usize,
    max_message_size: usize,
}

impl FrameReader {
    pub(crate) fn new(max_message_size: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            buffered: 0,
            max_message_size,
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.buffered += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Whether the DATA so far ends where a frame ends.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffered == 0
    }

    /// Takes the bytes of the next whole message, or `None` until more DATA has come.
    ///
    /// # Errors
    ///
    /// INTERNAL for a malformed or compressed frame, RESOURCE_EXHAUSTED for one over the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(len) = self.peek_len()? else {
            return Ok(None);
        };
        if self.buffered < HEADER_LEN + len {
            return Ok(None);
        }
        let mut frame = self.take(HEADER_LEN + len);
        frame.advance(HEADER_LEN);
        Ok(Some(frame))
    }

    /// The length that the next frame's header states, once the header is there.
    fn peek_len(&self) -> Result<Option<usize>, Status> {
        if self.buffered < HEADER_LEN {
            return Ok(None);
        }
        let mut header = [0; HEADER_LEN];
        let bytes = self.chunks.iter().flatten();
        header
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        let [flags, len @ ..] = header;
        match flags {
            0 => {}
            1 => {
                return Err(Status::internal(
                    "received a compressed message, but no compression was negotiated",
                ));
            }
            flags => {
                return Err(Status::internal(format!(
                    "received a frame with unknown flags {flags:#04x}"
                )));
            }
        }
        let len = u32::from_be_bytes(len) as usize;
        if len > self.max_message_size {
            return Err(Status::resource_exhausted(format!(
                "received a message of {len} bytes; max_receive_message_size is {}",
                self.max_message_size
            )));
        }
        Ok(Some(len))
    }

    /// The next `len` buffered bytes; without a copy where one chunk holds them all.
    fn take(&mut self, len: usize) -> Bytes {
        self.buffered -= len;
        if let Some(first) = self.chunks.front_mut()
            && first.len() >= len
        {
            let taken = first.split_to(len);
            if first.is_empty() {
                self.chunks.pop_front();
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(len);
        while taken.len() < len {
            let mut chunk = self
                .chunks
                .pop_front()
                .expect("`buffered` counts the bytes in `chunks`");
            let part = chunk.split_to(chunk.len().min(len - taken.len()));
            taken.extend_from_slice(&part);
            if !chunk.is_empty() {
                self.chunks.push_front(chunk);
            }
        }
        taken.freeze()
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
            let mut reader = FrameReader::new(LIMIT);
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
    fn a_message_over_the_limit_names_the_setting() {
        let mut reader = FrameReader::new(2);
        reader.push(encode(&"long".to_string()).unwrap());
        let status = reader.next().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("max_receive_message_size"));
    }

    #[test]
    fn compressed_and_unknown_flags_are_refused() {
        for flags in [1, 2, 0xff] {
            let mut reader = FrameReader::new(LIMIT);
            reader.push(Bytes::from(vec![flags, 0, 0, 0, 0]));
            assert_eq!(reader.next().unwrap_err().code(), tonic::Code::Internal);
        }
    }

    #[test]
    fn a_message_that_is_not_protobuf_is_refused() {
        let status = decode::<String>(Bytes::from_static(&[0xff])).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }
}
