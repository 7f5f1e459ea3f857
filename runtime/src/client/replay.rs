//! What a call sends, kept for as long as another attempt may have to send it again.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::Status;

/// Encoded frames as the caller's stream yields them.
pub(crate) type FrameSource = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// What a call sends, encoded once.
pub(crate) enum Payload {
    /// One message, there from the start: replaying it is a shared handle.
    Message(Bytes),
    /// Messages to come.
    Frames(Arc<ReplayBuffer>),
}

impl Payload {
    /// Whether another attempt could send all that was sent so far.
    pub(crate) fn can_replay(&self, limit: usize) -> bool {
        match self {
            Self::Message(frame) => frame.len() <= limit,
            Self::Frames(buffer) => buffer.lock().keep,
        }
    }

    /// Whether an attempt that the server never saw could be sent again, limits apart: a message is always there.
    pub(crate) fn can_resend(&self) -> bool {
        self.can_replay(usize::MAX)
    }

    /// Says that no further attempt will be made: what is kept is freed.
    pub(crate) fn commit(&self) {
        if let Self::Frames(buffer) = self {
            buffer.lock().commit();
        }
    }

    /// The error that the caller's own stream ended with, which is why the attempt was reset.
    pub(crate) fn take_error(&self) -> Option<Status> {
        match self {
            Self::Message(_) => None,
            Self::Frames(buffer) => buffer.lock().error.take(),
        }
    }
}

/// The frames of a streaming call: those that attempts have sent, up to a limit, then those still to come.
pub(crate) struct ReplayBuffer {
    state: Mutex<State>,
}

struct State {
    source: FrameSource,
    ended: bool,
    error: Option<Status>,
    /// Whether frames are kept for further attempts; false once the call is committed.
    keep: bool,
    frames: VecDeque<Bytes>,
    /// How many frames were freed from the front of `frames`: positions count from the first frame of the call.
    freed: usize,
    size: usize,
    limit: usize,
}

impl ReplayBuffer {
    /// Keeps at most `limit` bytes of frames, framing included; with no limit it keeps nothing from the start.
    pub(crate) fn new(source: FrameSource, limit: Option<usize>) -> Self {
        let state = State {
            source,
            ended: false,
            error: None,
            keep: limit.is_some(),
            frames: VecDeque::new(),
            freed: 0,
            size: 0,
            limit: limit.unwrap_or(0),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of the caller's stream leaves the state consistent: it is polled last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The frame at `position` of the call, which it moves on; `None` when the caller's stream has ended.
    ///
    /// An `Err` was said once and is kept for [`Payload::take_error`].
    pub(crate) fn poll_frame(
        &self,
        position: &mut usize,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, SourceFailed>>> {
        let mut state = self.lock();
        let frame = match state.replayed(*position) {
            Some(frame) => frame,
            None if state.ended => return Poll::Ready(None),
            None => match state.source.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    state.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(status))) => {
                    state.ended = true;
                    state.error = Some(status);
                    return Poll::Ready(Some(Err(SourceFailed)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    state.remember(&frame);
                    frame
                }
            },
        };
        *position += 1;
        Poll::Ready(Some(Ok(frame)))
    }
}

/// The caller's own stream ended with an error.
pub(crate) struct SourceFailed;

impl State {
    fn replayed(&mut self, position: usize) -> Option<Bytes> {
        if self.keep {
            return self.frames.get(position - self.freed).cloned();
        }
        // Committed: the one attempt that is left frees what it has sent, and each frame as it sends it.
        while self.freed < position {
            self.free_first()?;
        }
        self.free_first()
    }

    fn free_first(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.freed += 1;
        self.size -= frame.len();
        Some(frame)
    }

    fn remember(&mut self, frame: &Bytes) {
        if self.keep && self.size + frame.len() <= self.limit {
            self.size += frame.len();
            self.frames.push_back(frame.clone());
        } else {
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.keep = false;
    }
}
