//! A socket whose writes wait a turn, so that what other tasks have to say leaves with them.
//!
//! A task that answers a call wakes the connection's task, and a worker of tokio's multi-threaded runtime runs that one
//! next: every answer would leave in a write of its own, and a write costs more than the rest of a call. So a flush that
//! comes first waits until the connection's task has been polled again, behind all tasks that are ready by then. There is
//! no timer: where nothing else is ready, that is at once.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What waits at most: four frames of 16 KiB, which is what a peer takes unless it says more, and what small ones are between
/// them. A kernel takes as much in one go, and more would only keep the peer waiting.
const MAX_WAITING: usize = 72 << 10;

/// A write of this size leaves at once, uncopied: its own work outweighs that of a system call. That of a frame of 16 KiB does
/// not: copied together, four of them cost half.
const LARGE: usize = 32 << 10;

/// What an idle connection may keep for its next writes.
const MAX_IDLE: usize = 4 << 10;

/// How many flushes go out at once after one that waited for nothing, such as where one call is in flight at a time.
const REST: u8 = 31;

/// Defers the flushes of `T` by a turn of the task that owns it.
#[derive(Debug)]
pub(crate) struct Deferred<T> {
    io: T,
    waiting: Waiting,
    turn: Turn,
    turns: Option<Turns>,
    /// The flushes to come that do not wait.
    rest: u8,
}

/// Counts the turns of a task that polls its connection several times in one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<AtomicUsize>);

impl Turns {
    /// The task is being polled again.
    pub(crate) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Which turn this is.
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has been written and not yet handed to the socket.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
}

/// Where a flush stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// None is wanted.
    None,
    /// The task will be polled again; so many bytes were there when that was asked for, in the turn of that number.
    Asked { bytes: usize, at: usize },
    /// It has been polled again.
    Taken(usize),
}

impl<T> Deferred<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            waiting: Waiting::default(),
            turn: Turn::None,
            turns: None,
            // A server flushes its preface once, and then only reads until its client has spoken.
            rest: 1,
        }
    }

    /// Of a task that says itself when it is polled again: otherwise a read does.
    pub(crate) fn with_turns(io: T, turns: Turns) -> Self {
        Self {
            turns: Some(turns),
            ..Self::new(io)
        }
    }

    fn now(&self) -> usize {
        self.turns.as_ref().map_or(0, Turns::now)
    }
}

impl<T: AsyncWrite + Unpin> Deferred<T> {
    /// Hands all that waits to the socket.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.waiting.len() > 0 {
            let left = &self.waiting.bytes[self.waiting.sent..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.waiting.sent += written,
            }
        }
        self.waiting.clear();
        self.turn = Turn::None;
        Poll::Ready(Ok(()))
    }

    /// Whether a flush that is wanted now has to wait.
    fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        if let Turn::Asked { bytes, at } = self.turn
            && at != self.now()
        {
            self.turn = Turn::Taken(bytes);
        }
        match self.turn {
            Turn::None if self.rest > 0 => {
                self.rest -= 1;
                false
            }
            Turn::None => {
                self.turn = Turn::Asked {
                    bytes: self.waiting.len(),
                    at: self.now(),
                };
                cx.waker().wake_by_ref();
                true
            }
            Turn::Asked { .. } => true,
            Turn::Taken(before) => {
                if self.waiting.len() == before {
                    self.rest = REST;
                }
                false
            }
        }
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Takes `len` bytes of `data`; what waits is within the bound then.
    fn take(&mut self, data: &[IoSlice<'_>], len: usize) {
        if self.bytes.len() + len > MAX_WAITING {
            // A socket that takes a part at a time never has taken all.
            self.bytes.drain(..std::mem::take(&mut self.sent));
        }
        if self.bytes.len() + len > MAX_IDLE {
            // At once, rather than by doubling.
            self.bytes.reserve(MAX_WAITING - self.bytes.len());
        }
        for slice in data {
            self.bytes.extend_from_slice(slice);
        }
    }

    fn clear(&mut self) {
        self.sent = 0;
        self.bytes.clear();
        self.bytes.shrink_to(MAX_IDLE);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Deferred<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // HTTP/2 looks for what has come whenever it is polled, and before it writes.
        if let Turn::Asked { bytes, .. } = this.turn
            && this.turns.is_none()
        {
            this.turn = Turn::Taken(bytes);
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Deferred<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len = data.iter().map(|slice| slice.len()).sum::<usize>();
        if len >= LARGE || this.waiting.len() + len > MAX_WAITING {
            ready!(this.poll_write_out(cx))?;
        }
        if len >= LARGE {
            return Pin::new(&mut this.io).poll_write_vectored(cx, data);
        }
        this.waiting.take(data, len);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.len() > 0 {
            if this.waits(cx) {
                // The owner is polled again, and then flushes again.
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_write_out(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_out(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Keeps what each write brought.
    #[derive(Default)]
    struct Writes {
        written: Vec<Vec<u8>>,
        /// How much more it takes; `None` is without end.
        room: Option<usize>,
    }

    impl AsyncRead for Writes {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = match &mut self.room {
                Some(0) => return Poll::Pending,
                Some(room) => {
                    let taken = data.len().min(*room);
                    *room -= taken;
                    taken
                }
                None => data.len(),
            };
            self.written.push(data[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A connection past its preface.
    fn begun() -> Deferred<Writes> {
        Deferred {
            rest: 0,
            ..Deferred::new(Writes::default())
        }
    }

    /// A connection's task polls: it reads, writes and flushes.
    fn turn(io: &mut Deferred<Writes>, write: &[u8]) {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut io = Pin::new(io);
        assert!(
            io.as_mut()
                .poll_read(cx, &mut ReadBuf::new(&mut []))
                .is_pending()
        );
        if !write.is_empty() {
            let written = io.as_mut().poll_write(cx, write);
            assert!(matches!(written, Poll::Ready(Ok(len)) if len == write.len()));
        }
        let _ = io.poll_flush(cx);
    }

    #[test]
    fn the_preface_leaves_at_once() {
        let mut io = Deferred::new(Writes::default());
        turn(&mut io, b"preface");
        assert_eq!(io.io.written, [b"preface"]);
        turn(&mut io, b"waits");
        assert_eq!(io.io.written.len(), 1);
    }

    #[test]
    fn what_comes_in_the_next_turn_leaves_in_the_same_write() {
        let mut io = begun();
        turn(&mut io, b"one ");
        assert!(io.io.written.is_empty());
        turn(&mut io, b"two");
        assert_eq!(io.io.written, [b"one two"]);
    }

    #[test]
    fn a_flush_that_waited_for_nothing_makes_the_next_ones_leave_at_once() {
        let mut io = begun();
        turn(&mut io, b"one");
        turn(&mut io, b"");
        for count in 0..usize::from(REST) {
            assert_eq!(io.io.written.len(), count + 1);
            turn(&mut io, b"more");
        }
        turn(&mut io, b"waits again");
        assert_eq!(io.io.written.len(), usize::from(REST) + 1);
    }

    #[test]
    fn a_turn_in_which_nothing_is_read_is_one_as_well() {
        let turns = Turns::default();
        let mut io = Deferred {
            rest: 0,
            ..Deferred::with_turns(Writes::default(), turns.clone())
        };
        turn(&mut io, b"waits");
        turn(&mut io, b"");
        assert!(io.io.written.is_empty());
        turns.next();
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut io).poll_flush(cx).is_ready());
        assert_eq!(io.io.written, [b"waits"]);
    }

    #[test]
    fn a_large_write_leaves_at_once_behind_what_waits() {
        let mut io = begun();
        turn(&mut io, b"small");
        let large = vec![7; LARGE];
        turn(&mut io, &large);
        assert_eq!(io.io.written, [b"small".as_slice(), &large]);
    }

    #[test]
    fn no_more_than_the_bound_waits() {
        let mut io = begun();
        let cx = &mut Context::from_waker(Waker::noop());
        let piece = vec![7; LARGE - 1];
        for _ in 0..=MAX_WAITING / piece.len() {
            assert!(io.waiting.len() <= MAX_WAITING);
            assert!(Pin::new(&mut io).poll_write(cx, &piece).is_ready());
        }
        assert!(!io.io.written.is_empty());
    }

    #[test]
    fn what_a_slow_socket_has_not_taken_yet_is_bounded_however_much_it_has() {
        let mut io = begun();
        let cx = &mut Context::from_waker(Waker::noop());
        let piece = vec![7; LARGE - 1];
        let mut written = 0;
        while written < 4 * MAX_WAITING {
            // It has room for a little less than what comes.
            io.io.room = Some(piece.len() - 1);
            turn(&mut io, b"");
            while let Poll::Ready(len) = Pin::new(&mut io).poll_write(cx, &piece) {
                written += len.unwrap();
            }
            assert!(io.waiting.bytes.capacity() <= 2 * MAX_WAITING);
        }
        io.io.room = None;
        turn(&mut io, b"");
        turn(&mut io, b"");
        assert_eq!(io.io.written.iter().map(Vec::len).sum::<usize>(), written);
    }

    #[test]
    fn a_shutdown_leaves_nothing_behind() {
        let mut io = begun();
        turn(&mut io, b"last words");
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut io).poll_shutdown(cx).is_ready());
        assert_eq!(io.io.written, [b"last words"]);
    }

    #[test]
    fn an_idle_connection_keeps_little() {
        let mut io = begun();
        turn(&mut io, &[7; LARGE - 1]);
        turn(&mut io, b"");
        assert!(io.waiting.bytes.capacity() <= MAX_IDLE);
    }
}
