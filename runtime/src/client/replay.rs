//! What a call sends, kept for as long as another attempt may have to send it again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::Status;

use super::{budget::ReplayBudget, kept::Kept};
use crate::status;

/// Encoded frames as the caller's stream yields them.
pub(crate) type FrameSource = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The frames of a streaming call: those that attempts have sent, up to a limit, then those still to come.
pub(crate) struct ReplayBuffer {
    /// Held by the reader that asks for the next frame. The state is not locked meanwhile: the caller's stream may follow
    /// the responses of its own call, and so see that call end.
    source: Mutex<FrameSource>,
    state: Mutex<State>,
}

struct State {
    /// Whether the source has yielded anything.
    taken: bool,
    ended: bool,
    error: Option<Status>,
    /// Whether frames are kept for further attempts; false once the call is committed.
    keep: bool,
    kept: Kept,
    readers: Vec<Waiting>,
    /// The attempt that the call is committed to.
    winner: Option<usize>,
    winner_waker: Option<Waker>,
}

/// A reader of the buffer, by the index of its attempt.
struct Waiting {
    reader: usize,
    /// How many frames it has read.
    position: usize,
    /// Its task, where that waits for the next frame.
    waker: Option<Waker>,
}

impl ReplayBuffer {
    /// Keeps at most `limit` bytes of frames, framing included, and what is left of the channel's budget.
    pub(crate) fn new(source: FrameSource, limit: usize, budget: Arc<ReplayBudget>) -> Self {
        let state = State {
            taken: false,
            ended: false,
            error: None,
            keep: true,
            kept: Kept::new(limit, budget),
            readers: Vec::new(),
            winner: None,
            winner_waker: None,
        };
        Self {
            source: Mutex::new(source),
            state: Mutex::new(state),
        }
    }

    /// A reader for the attempt of that index, from the first frame on.
    pub(crate) fn reader(self: &Arc<Self>, attempt: usize) -> (Reader, ReaderGuard) {
        let mut state = self.lock();
        // An attempt that comes late, after the call has committed to another, has nothing to read.
        if state.winner.is_none_or(|winner| winner == attempt) {
            state.readers.push(Waiting {
                reader: attempt,
                position: 0,
                waker: None,
            });
        }
        drop(state);
        let guard = ReaderGuard {
            buffer: Arc::clone(self),
            attempt,
        };
        (
            Reader {
                buffer: Arc::clone(self),
                attempt,
            },
            guard,
        )
    }

    /// Whether all frames so far are kept.
    pub(crate) fn can_replay(&self) -> bool {
        self.lock().keep
    }

    /// Whether no frame that came is lost.
    pub(crate) fn can_resend(&self) -> bool {
        let state = self.lock();
        state.keep || !state.taken
    }

    /// Ready once the call is committed to an attempt; gives its index.
    pub(crate) fn poll_winner(&self, cx: &mut TaskContext<'_>) -> Poll<usize> {
        let mut state = self.lock();
        match state.winner {
            Some(winner) => Poll::Ready(winner),
            None => {
                state.winner_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The error that the caller's own stream ended with.
    pub(crate) fn error(&self) -> Option<Status> {
        self.lock().error.as_ref().map(status::copy)
    }

    /// Ends the caller's stream with an error found outside it.
    pub(crate) fn fail(&self, status: Status) {
        let mut state = self.lock();
        state.ended = true;
        state.error = Some(status);
        state.wake_readers();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a call's frames for one attempt.
pub(crate) struct Reader {
    buffer: Arc<ReplayBuffer>,
    attempt: usize,
}

/// What a reader gets.
pub(crate) enum Read {
    Frame(Bytes),
    /// The caller's stream has ended.
    Ended,
    /// The caller's stream ended with an error, kept for [`ReplayBuffer::error`].
    Failed,
    /// The attempt is over, or the call is committed to another.
    Retired,
}

impl Reader {
    pub(crate) fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Read> {
        let buffer = &self.buffer;
        if let Poll::Ready(read) = buffer.lock().poll_read(self.attempt, cx) {
            return Poll::Ready(read);
        }
        // Whoever asks already wakes this reader; so does the failure that a panic of the caller's stream becomes.
        let Ok(mut source) = buffer.source.try_lock() else {
            return Poll::Pending;
        };
        // Another reader may have asked since.
        if let Poll::Ready(read) = buffer.lock().poll_read(self.attempt, cx) {
            return Poll::Ready(read);
        }
        let next = source.as_mut().poll_next(cx);
        let read = next.map(|next| buffer.lock().record(next, self.attempt));
        drop(source);
        // Not before now: those that are woken may ask for the next frame themselves.
        buffer.lock().asked(self.attempt, read.is_ready());
        read
    }
}

/// Lets a reader read for as long as its attempt lives, whatever becomes of the task that reads.
pub(crate) struct ReaderGuard {
    buffer: Arc<ReplayBuffer>,
    attempt: usize,
}

impl ReaderGuard {
    /// Commits the call to this reader's attempt: no other will be made, and what is kept is freed as it is read.
    ///
    /// False where it is committed to another already, as by an overflow that came first: then no answer of this attempt
    /// is the call's, since nobody else sends what is left.
    pub(crate) fn commit(&self) -> bool {
        self.buffer.lock().commit(self.attempt)
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
    fn reader(&mut self, reader: usize) -> Option<&mut Waiting> {
        self.readers
            .iter_mut()
            .find(|waiting| waiting.reader == reader)
    }

    fn position(&mut self, reader: usize) -> Option<usize> {
        self.reader(reader).map(|waiting| waiting.position)
    }

    /// What there is for a reader without asking the caller's stream; its task is woken once that has changed.
    fn poll_read(&mut self, reader: usize, cx: &TaskContext<'_>) -> Poll<Read> {
        let Some(position) = self.position(reader) else {
            return Poll::Ready(Read::Retired);
        };
        if let Some(frame) = self.kept.get(position) {
            self.advance(reader, position + 1);
            return Poll::Ready(Read::Frame(frame));
        }
        if self.error.is_some() {
            return Poll::Ready(Read::Failed);
        }
        if self.ended {
            return Poll::Ready(Read::Ended);
        }
        if let Some(waiting) = self.reader(reader) {
            match &mut waiting.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                waker => *waker = Some(cx.waker().clone()),
            }
        }
        Poll::Pending
    }

    /// Records what the caller's stream has given a reader.
    fn record(&mut self, next: Option<Result<Bytes, Status>>, reader: usize) -> Read {
        let position = self.position(reader);
        match (next, position) {
            (Some(Ok(frame)), Some(position)) => {
                self.remember(&frame, reader);
                self.advance(reader, position + 1);
                Read::Frame(frame)
            }
            (Some(Ok(frame)), None) => {
                // Its attempt ended meanwhile, and whichever goes on has yet to send the frame.
                self.taken = true;
                self.kept.push_over(frame);
                Read::Retired
            }
            (Some(Err(status)), _) => {
                self.ended = true;
                self.error = Some(status);
                Read::Failed
            }
            (None, _) => {
                self.ended = true;
                Read::Ended
            }
        }
    }

    /// A reader no longer asks the caller's stream. The others see what has come, or ask in its place where it is gone.
    fn asked(&mut self, reader: usize, come: bool) {
        if come || self.position(reader).is_none() {
            self.wake_others(Some(reader));
        }
    }

    /// Moves a reader on; once the call is committed to it, nobody else needs what it has read.
    fn advance(&mut self, reader: usize, position: usize) {
        if let Some(waiting) = self.reader(reader) {
            waiting.position = position;
        }
        if !self.keep {
            self.kept.free_to(position);
        }
    }

    fn wake_readers(&mut self) {
        self.wake_others(None);
    }

    fn wake_others(&mut self, than: Option<usize>) {
        let others = |waiting: &&mut Waiting| Some(waiting.reader) != than;
        for waiting in self.readers.iter_mut().filter(others) {
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }

    fn remember(&mut self, frame: &Bytes, reader: usize) {
        self.taken = true;
        if !(self.keep && self.kept.push(frame)) {
            // The reader that asks for a new frame is the one that has sent the most.
            self.commit(reader);
        }
    }

    /// The first commitment holds.
    fn commit(&mut self, reader: usize) -> bool {
        if let Some(winner) = self.winner {
            return winner == reader;
        }
        self.keep = false;
        self.winner = Some(reader);
        self.wake_readers();
        self.readers.retain(|waiting| waiting.reader == reader);
        if let Some(position) = self.position(reader) {
            self.kept.free_to(position);
        }
        if let Some(waker) = self.winner_waker.take() {
            waker.wake();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn buffer(frames: FrameSource, limit: usize) -> Arc<ReplayBuffer> {
        let budget = Arc::new(ReplayBudget::new(1 << 10));
        Arc::new(ReplayBuffer::new(frames, limit, budget))
    }

    fn frame_of(read: Read) -> Bytes {
        match read {
            Read::Frame(frame) => frame,
            Read::Ended | Read::Failed | Read::Retired => panic!("there is no frame"),
        }
    }

    #[tokio::test]
    async fn a_frame_that_an_attempt_no_longer_takes_is_left_for_the_one_that_goes_on() {
        let ending = Arc::new(Mutex::new(None::<ReaderGuard>));
        let ends = Arc::clone(&ending);
        let mut words = ["one", "two", "three"].into_iter();
        let frames = tokio_stream::iter(std::iter::from_fn(move || {
            drop(ends.lock().unwrap().take());
            words.next().map(|word| Ok(Bytes::from(word)))
        }));
        // Too little room for any of them.
        let buffer = buffer(Box::pin(frames), 2);
        let (mut first, guard) = buffer.reader(0);
        let (mut second, second_guard) = buffer.reader(1);
        *ending.lock().unwrap() = Some(guard);
        let read = poll_fn(|cx| first.poll_next(cx)).await;
        assert!(matches!(read, Read::Retired));
        second_guard.commit();
        for word in ["one", "two", "three"] {
            assert_eq!(frame_of(poll_fn(|cx| second.poll_next(cx)).await), word);
        }
    }

    #[tokio::test]
    async fn rule_45_an_answer_does_not_take_the_call_from_the_attempt_that_overflowed() {
        let frames = ["first", "second"].map(|frame| Ok(Bytes::from(frame)));
        let buffer = buffer(Box::pin(tokio_stream::iter(frames)), 4);
        let (mut first, guard) = buffer.reader(0);
        let (mut second, second_guard) = buffer.reader(1);
        assert_eq!(frame_of(poll_fn(|cx| first.poll_next(cx)).await), "first");
        // On another thread, the second may have been answered before anybody looked for the overflow.
        assert!(!second_guard.commit());
        let read = poll_fn(|cx| second.poll_next(cx)).await;
        assert!(matches!(read, Read::Retired));
        assert_eq!(frame_of(poll_fn(|cx| first.poll_next(cx)).await), "second");
        assert!(guard.commit());
    }

    #[tokio::test]
    async fn an_attempt_that_comes_after_the_commitment_reads_nothing() {
        let frames = ["one", "two"].map(|frame| Ok(Bytes::from(frame)));
        let buffer = buffer(Box::pin(tokio_stream::iter(frames)), 1 << 10);
        let (mut winner, guard) = buffer.reader(0);
        poll_fn(|cx| winner.poll_next(cx)).await;
        guard.commit();
        let (mut late, _guard) = buffer.reader(1);
        let read = poll_fn(|cx| late.poll_next(cx)).await;
        assert!(matches!(read, Read::Retired));
        assert_eq!(frame_of(poll_fn(|cx| winner.poll_next(cx)).await), "two");
    }
}
