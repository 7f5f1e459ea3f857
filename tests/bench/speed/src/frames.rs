//! Frames of messages, for those that are straight on `h2`.

use std::future::poll_fn;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream};

use crate::Error;

/// A frame begins with a byte of flags and four of length.
pub const PREFIX: usize = 5;

/// DATA of small frames goes out in pieces of about this size.
const PIECE: usize = 8 << 10;

/// What receives as much as Wireloom does without reading: streams must not wait for its window.
pub const STREAM_WINDOW: u32 = 2 << 20;
pub const CONNECTION_WINDOW: u32 = 16 << 20;

/// `message` as one frame.
pub fn frame(message: &[u8]) -> Result<Bytes, Error> {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len())?);
    frame.extend_from_slice(message);
    Ok(frame.freeze())
}

/// The size of the frame that `data` begins with.
pub fn len(data: &[u8]) -> Option<usize> {
    let [_, a, b, c, d, ..] = *data else {
        return None;
    };
    Some(PREFIX + u32::from_be_bytes([a, b, c, d]) as usize)
}

/// Sends `frame` so many times.
pub async fn send_copies(
    stream: &mut SendStream<Bytes>,
    frame: &Bytes,
    count: u32,
) -> Result<(), Error> {
    let per_piece = (PIECE / frame.len()).max(1).min(count as usize);
    let piece = Bytes::from(frame.repeat(per_piece));
    let mut left = count as usize;
    while left > 0 {
        let now = left.min(per_piece);
        send(stream, piece.slice(..now * frame.len())).await?;
        left -= now;
    }
    Ok(())
}

/// Sends `data` as the peer has room for it.
pub async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match stream.capacity() {
            0 => poll_fn(|cx| stream.poll_capacity(cx))
                .await
                .ok_or("the stream is closed")??,
            room => room,
        };
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, false)?;
    }
    Ok(())
}

/// The next DATA, whose room the peer gets back.
pub async fn receive(body: &mut RecvStream) -> Result<Option<Bytes>, Error> {
    let Some(data) = body.data().await.transpose()? else {
        return Ok(None);
    };
    body.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}
