//! What each message passes on its way from the caller to the attempts: compression, the limit, observers.

use std::sync::Arc;

use bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::Status;

use super::{
    budget::ReplayBudget,
    payload::Payload,
    replay::{FrameSource, ReplayBuffer},
};
use crate::{
    compression::Compression,
    frame::{self, FrameScanner, HEADER_LEN},
    interceptor::Observers,
};

/// What a caller sends.
pub(crate) enum Requests {
    /// One frame, or why its message has none.
    One(Result<Bytes, Status>),
    /// Frames to come.
    Many(FrameSource),
    /// DATA to come, which tonic's client has framed.
    Data(FrameSource),
}

pub(super) struct Passage {
    pub(super) compression: Compression,
    pub(super) max_message_size: Option<usize>,
    pub(super) observers: Option<Arc<Observers>>,
}

impl Passage {
    /// What attempts send of `requests`; up to `limit` bytes of it are kept for further ones, of what the budget has left.
    /// A message is there in any case: of its frame, only what configured attempts may send again counts (`retried`).
    pub(super) fn pass(
        self,
        requests: Requests,
        limit: usize,
        budget: &Arc<ReplayBudget>,
        retried: bool,
    ) -> Result<Payload, Status> {
        let frames: FrameSource = match requests {
            Requests::One(frame) => {
                let frame = self.pass_frame(frame?)?;
                let fits = retried && frame.len() <= limit;
                let kept = fits.then(|| budget.reserve(frame.len())).flatten();
                return Ok(Payload::Message { frame, kept });
            }
            Requests::Many(frames) | Requests::Data(frames) if self.is_clear() => frames,
            Requests::Many(frames) => Box::pin(frames.map(move |frame| self.pass_frame(frame?))),
            Requests::Data(frames) => {
                let mut scanner = FrameScanner::default();
                Box::pin(frames.map(move |data| self.pass_data(data?, &mut scanner)))
            }
        };
        let buffer = ReplayBuffer::new(frames, limit, Arc::clone(budget));
        Ok(Payload::Frames(Arc::new(buffer)))
    }

    /// Whether messages pass untouched and unseen.
    fn is_clear(&self) -> bool {
        self.compression == Compression::Identity
            && self.max_message_size.is_none()
            && self.observers.is_none()
    }

    fn pass_frame(&self, frame: Bytes) -> Result<Bytes, Status> {
        let frame = frame::compress(frame, self.compression)?;
        self.note(frame.len() - HEADER_LEN)?;
        Ok(frame)
    }

    fn pass_data(&self, data: Bytes, scanner: &mut FrameScanner) -> Result<Bytes, Status> {
        let mut noted = Ok(());
        scanner.scan(&data, |size| {
            if noted.is_ok() {
                noted = self.note(size);
            }
        });
        noted.map(|()| data)
    }

    fn note(&self, size: usize) -> Result<(), Status> {
        if let Some(limit) = self.max_message_size
            && size > limit
        {
            return Err(frame::too_large_to_send(size, limit));
        }
        if let Some(observers) = &self.observers {
            observers.message_sent(size);
        }
        Ok(())
    }
}
