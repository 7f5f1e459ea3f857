//! The frames of a streaming call, small ones together.

use std::task::{Context as TaskContext, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::replay::{Read, Reader};

/// Small frames that are ready together leave as one piece of DATA of up to this size, as on the server.
const BATCH_SIZE: usize = 32 << 10;

/// Reads a call's frames for one attempt, as many at a time as are ready.
pub(super) struct Batches {
    frames: Reader,
    /// What came behind the last batch.
    behind: Option<Read>,
}

impl Batches {
    pub(super) fn new(frames: Reader) -> Self {
        Self {
            frames,
            behind: None,
        }
    }

    /// Whether a frame is there already that the last batch had no room for.
    pub(super) fn has_more(&self) -> bool {
        matches!(self.behind, Some(Read::Frame(_)))
    }

    pub(super) fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Read> {
        let next = match self.behind.take() {
            Some(behind) => behind,
            None => ready!(self.frames.poll_next(cx)),
        };
        Poll::Ready(match next {
            Read::Frame(first) => Read::Frame(self.gather(first, cx)),
            Read::Ended | Read::Failed | Read::Retired => next,
        })
    }

    /// `first` and the frames that are ready behind it, for as long as they fit into a batch.
    fn gather(&mut self, first: Bytes, cx: &mut TaskContext<'_>) -> Bytes {
        let mut batch = None;
        let mut size = first.len();
        while size < BATCH_SIZE
            && let Poll::Ready(next) = self.frames.poll_next(cx)
        {
            match next {
                Read::Frame(frame) if size + frame.len() <= BATCH_SIZE => {
                    size += frame.len();
                    batch
                        .get_or_insert_with(|| BytesMut::from(first.as_ref()))
                        .extend_from_slice(&frame);
                }
                behind => {
                    self.behind = Some(behind);
                    break;
                }
            }
        }
        batch.map_or(first, BytesMut::freeze)
    }
}
