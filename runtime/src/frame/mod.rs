//! Length-prefixed messages: the frames of gRPC inside HTTP/2 DATA.

mod encoder;
mod reader;
mod scanner;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;
use tonic::Status;

pub(crate) use self::{encoder::FrameEncoder, reader::FrameReader, scanner::FrameScanner};
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_message_that_is_not_protobuf_is_refused() {
        let status = decode::<String>(Bytes::from_static(&[0xff])).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }
}
