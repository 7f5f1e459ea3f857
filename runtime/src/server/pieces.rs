//! A streamed reply, piece by piece.

use std::task::{Context as TaskContext, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tonic::Status;

use super::body::Frames;
use crate::status;

/// Small messages that are ready together leave in one DATA frame of up to this size.
pub(super) const BATCH_SIZE: usize = 32 << 10;

/// The pieces of a streamed reply.
pub(super) enum Pieces {
    Messages {
        frames: Frames,
        end: Option<Status>,
    },
    #[cfg(feature = "tonic")]
    Http(tonic::body::Body),
}

pub(super) enum Piece {
    Data(Bytes),
    /// The end, with the metadata of the trailers.
    End(Status, HeaderMap),
}

impl Pieces {
    pub(super) fn of_messages(frames: Frames) -> Self {
        Self::Messages { frames, end: None }
    }

    pub(super) fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Piece> {
        match self {
            Self::Messages { frames, end } => match end.take() {
                Some(status) => Poll::Ready(Piece::End(status, HeaderMap::new())),
                None => match ready!(frames.as_mut().poll_next(cx)) {
                    Some(Ok(frame)) => Poll::Ready(Piece::Data(batch(frame, frames, end, cx))),
                    last => Poll::Ready(Piece::End(end_of(last), HeaderMap::new())),
                },
            },
            #[cfg(feature = "tonic")]
            Self::Http(body) => super::tower::poll_piece(body, cx),
        }
    }
}

/// `first` and the small frames that are ready behind it, as one piece; `end` is set where the stream ended.
fn batch(
    first: Bytes,
    frames: &mut Frames,
    end: &mut Option<Status>,
    cx: &mut TaskContext<'_>,
) -> Bytes {
    let mut batch = None;
    let mut size = first.len();
    while size < BATCH_SIZE {
        match frames.as_mut().poll_next(cx) {
            Poll::Pending => break,
            Poll::Ready(Some(Ok(frame))) => {
                size += frame.len();
                batch
                    .get_or_insert_with(|| BytesMut::from(first.as_ref()))
                    .extend_from_slice(&frame);
            }
            Poll::Ready(last) => {
                *end = Some(end_of(last));
                break;
            }
        }
    }
    batch.map_or(first, BytesMut::freeze)
}

/// The status that a stream of messages ended with.
fn end_of(last: Option<Result<Bytes, Status>>) -> Status {
    match last {
        Some(Err(status)) => status::of_handler(status),
        Some(Ok(_)) | None => Status::ok(""),
    }
}
