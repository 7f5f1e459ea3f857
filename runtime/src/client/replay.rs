//! What a call sends, kept for as long as another attempt may have to send it again.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll, Waker},
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
    /// Whether a configured retry or hedge could send all that was sent so far; it may keep `limit` bytes for that.
    pub(crate) fn can_replay(&self, limit: usize) -> bool {
        match self {
            Self::Message(frame) => frame.len() <= limit,
            Self::Frames(buffer) => buffer.lock().keep,
        }
    }

    /// Whether an attempt that the server never saw can be sent again: a message is always there, a stream where
    /// nothing of it is lost yet.
    pub(crate) fn can_resend(&self) -> bool {
        match self {
            Self::Message(_) => true,
            Self::Frames(buffer) => {
                let state = buffer.lock();
                state.keep || !state.taken
            }
        }
    }

    /// The error that the caller's own stream ended with, which is why the attempt was reset.
    pub(crate) fn take_error(&self) -> Option<Status> {
        match self {
            Self::Message(_) => None,
            Self::Frames(buffer) => buffer.lock().error.take(),
        }
    }

    /// Ready once the call has had to commit to an attempt because the buffer overflowed; gives the attempt's index.
    pub(crate) fn poll_overflow(&self, cx: &mut TaskContext<'_>) -> Poll<usize> {
        let Self::Frames(buffer) = self else {
            return Poll::Pending;
        };
        let mut state = buffer.lock();
        match state.winner {
            Some(winner) => Poll::Ready(winner),
            None => {
                state.overflow_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The frames of a streaming call: those that attempts have sent, up to a limit, then those still to come.
pub(crate) struct ReplayBuffer {
    state: Mutex<State>,
}

struct State {
    source: FrameSource,
    /// Whether the source has yielded anything.
    taken: bool,
    ended: bool,
    error: Option<Status>,
    /// Whether frames are kept for further attempts; false once the call is committed.
    keep: bool,
    frames: VecDeque<Bytes>,
    /// How many frames were freed from the front of `frames`: positions count from the first frame of the call.
    freed: usize,
    size: usize,
    limit: usize,
    readers: Vec<Waiting>,
    /// The attempt that the call is committed to.
    winner: Option<usize>,
    overflow_waker: Option<Waker>,
}

/// A reader of the buffer, by the index of its attempt, and its task where that waits for the next frame.
struct Waiting {
    reader: usize,
    waker: Option<Waker>,
}

impl ReplayBuffer {
    /// Keeps at most `limit` bytes of frames, framing included; with no limit it keeps nothing from the start.
    pub(crate) fn new(source: FrameSource, limit: Option<usize>) -> Self {
        let state = State {
            source,
            taken: false,
            ended: false,
            error: None,
            keep: limit.is_some(),
            frames: VecDeque::new(),
            freed: 0,
            size: 0,
            limit: limit.unwrap_or(0),
            readers: Vec::new(),
            winner: None,
            overflow_waker: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// A reader for the attempt of that index, from the first frame on.
    pub(crate) fn reader(self: &Arc<Self>, attempt: usize) -> (Reader, ReaderGuard) {
        self.lock().readers.push(Waiting {
            reader: attempt,
            waker: None,
        });
        let guard = ReaderGuard {
            buffer: Arc::clone(self),
            attempt,
        };
        (
            Reader {
                buffer: Arc::clone(self),
                attempt,
                position: 0,
            },
            guard,
        )
    }

    /// Ends the caller's stream with an error found outside it.
    pub(crate) fn fail(&self, status: Status) {
        let mut state = self.lock();
        state.ended = true;
        state.error = Some(status);
        state.wake_readers();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of the caller's stream leaves the state consistent: it is polled last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a call's frames for one attempt.
pub(crate) struct Reader {
    buffer: Arc<ReplayBuffer>,
    attempt: usize,
    position: usize,
}

/// What a reader gets.
pub(crate) enum Read {
    Frame(Bytes),
    /// The caller's stream has ended.
    Ended,
    /// The caller's stream ended with an error, kept for [`Payload::take_error`].
    Failed,
    /// The attempt is over, or the call is committed to another.
    Retired,
}

impl Reader {
    pub(crate) fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Read> {
        let mut state = self.buffer.lock();
        if !state
            .readers
            .iter()
            .any(|waiting| waiting.reader == self.attempt)
        {
            return Poll::Ready(Read::Retired);
        }
        let frame = match state.replayed(self.position) {
            Some(frame) => frame,
            None if state.error.is_some() => return Poll::Ready(Read::Failed),
            None if state.ended => return Poll::Ready(Read::Ended),
            None => match state.source.as_mut().poll_next(cx) {
                Poll::Pending => {
                    state.wait(self.attempt, cx);
                    return Poll::Pending;
                }
                Poll::Ready(next) => {
                    state.wake_readers();
                    match next {
                        Some(Ok(frame)) => {
                            state.remember(&frame, self.attempt);
                            frame
                        }
                        Some(Err(status)) => {
                            state.ended = true;
                            state.error = Some(status);
                            return Poll::Ready(Read::Failed);
                        }
                        None => {
                            state.ended = true;
                            return Poll::Ready(Read::Ended);
                        }
                    }
                }
            },
        };
        self.position += 1;
        Poll::Ready(Read::Frame(frame))
    }
}

/// Lets a reader read for as long as its attempt lives, whatever becomes of the task that reads.
pub(crate) struct ReaderGuard {
    buffer: Arc<ReplayBuffer>,
    attempt: usize,
}

impl ReaderGuard {
    /// Commits the call to this reader's attempt: no other will be made, and what is kept is freed as it is read.
    pub(crate) fn commit(&self) {
        self.buffer.lock().commit(self.attempt);
    }
}

impl Drop for ReaderGuard {
    fn drop(&mut self) {
        let mut state = self.buffer.lock();
        state
            .readers
            .retain(|waiting| waiting.reader != self.attempt);
        // The source may know this reader's task alone: the others have to ask it themselves.
        state.wake_readers();
    }
}

impl State {
    fn wait(&mut self, reader: usize, cx: &TaskContext<'_>) {
        if let Some(waiting) = self
            .readers
            .iter_mut()
            .find(|waiting| waiting.reader == reader)
        {
            waiting.waker = Some(cx.waker().clone());
        }
    }

    fn wake_readers(&mut self) {
        for waiting in &mut self.readers {
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }

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

    fn remember(&mut self, frame: &Bytes, reader: usize) {
        self.taken = true;
        if self.keep && self.size + frame.len() <= self.limit {
            self.size += frame.len();
            self.frames.push_back(frame.clone());
        } else if self.winner.is_none() {
            // The reader that asks for a new frame is the one that has sent the most.
            self.commit(reader);
        }
    }

    fn commit(&mut self, reader: usize) {
        self.keep = false;
        self.winner = Some(reader);
        self.wake_readers();
        self.readers.retain(|waiting| waiting.reader == reader);
        if let Some(waker) = self.overflow_waker.take() {
            waker.wake();
        }
    }
}
