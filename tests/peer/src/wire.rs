//! A connection's bytes, with frames in between that the `h2` crate would not send.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const FRAME_HEADER: usize = 9;

/// The peer's side of a connection: what `h2` writes, and frames injected between its frames.
#[derive(Debug)]
pub(crate) struct Wire<T> {
    io: T,
    injections: Injector,
    /// What is left to write of an injected frame.
    injecting: Bytes,
    boundary: Boundary,
    closed: bool,
}

/// Injects into a [`Wire`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Injector(Arc<Mutex<Injections>>);

#[derive(Debug, Default)]
struct Injections {
    queue: VecDeque<Injection>,
    /// Nothing passes any more, either way.
    frozen: bool,
    /// The task that drives the connection.
    driver: Option<Waker>,
}

#[derive(Debug)]
enum Injection {
    Frame(Bytes),
    Close,
}

impl Injector {
    /// Writes a frame once what `h2` has to write is written.
    pub(crate) fn frame(&self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = BytesMut::with_capacity(FRAME_HEADER + payload.len());
        frame.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.push(Injection::Frame(frame.freeze()));
    }

    /// Closes the connection once all is written.
    pub(crate) fn close(&self) {
        self.push(Injection::Close);
    }

    /// Lets nothing pass any more, and leaves the connection open.
    pub(crate) fn freeze(&self) {
        self.lock().frozen = true;
    }

    fn is_frozen(&self) -> bool {
        self.lock().frozen
    }

    fn push(&self, injection: Injection) {
        let mut injections = self.lock();
        injections.queue.push_back(injection);
        if let Some(driver) = injections.driver.take() {
            driver.wake();
        }
    }

    fn next(&self, cx: &Context<'_>) -> Option<Injection> {
        let mut injections = self.lock();
        injections.driver = Some(cx.waker().clone());
        injections.queue.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Injections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncWrite + Unpin> Wire<T> {
    pub(crate) fn new(io: T, injections: Injector) -> Self {
        Self {
            io,
            injections,
            injecting: Bytes::new(),
            boundary: Boundary::default(),
            closed: false,
        }
    }

    /// Writes what is left of a frame that was begun.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.injecting.has_remaining() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.injecting))?;
            self.injecting.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is to be injected, where one frame has ended and no other has begun.
    fn poll_inject(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_finish(cx))?;
        while self.boundary.is_between_frames() && !self.closed {
            match self.injections.next(cx) {
                None => break,
                Some(Injection::Frame(frame)) => {
                    self.injecting = frame;
                    ready!(self.poll_finish(cx))?;
                }
                Some(Injection::Close) => {
                    self.closed = true;
                    // `h2` finds out when it reads next.
                    cx.waker().wake_by_ref();
                    return Pin::new(&mut self.io).poll_shutdown(cx);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        if self.injections.is_frozen() {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.injections.is_frozen() {
            return Poll::Pending;
        }
        ready!(self.poll_finish(cx))?;
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.boundary.pass(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    // `h2` flushes once all that it has to say is written, each time that its connection is polled.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_inject(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Follows a stream of frames.
#[derive(Debug, Default)]
struct Boundary {
    /// The part of a frame's header that has passed.
    header: Vec<u8>,
    payload_left: usize,
}

impl Boundary {
    fn is_between_frames(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let passed = bytes.len().min(self.payload_left);
                self.payload_left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let passed = bytes.len().min(FRAME_HEADER - self.header.len());
            self.header.extend_from_slice(&bytes[..passed]);
            bytes = &bytes[passed..];
            if let [a, b, c, _, _, _, _, _, _] = self.header[..] {
                self.payload_left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.header.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_their_headers_say_however_they_are_cut() {
        let frames = [0, 0, 2, 0, 0, 0, 0, 0, 1, 7, 7, 0, 0, 0, 4, 1, 0, 0, 0, 0];
        for size in 1..=frames.len() {
            let mut boundary = Boundary::default();
            let mut passed = 0;
            for piece in frames.chunks(size) {
                boundary.pass(piece);
                passed += piece.len();
                let ended = passed == 11 || passed == 20;
                assert_eq!(boundary.is_between_frames(), ended, "{passed} bytes");
            }
        }
    }
}
