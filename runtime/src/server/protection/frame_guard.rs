//! A look at the frames that a peer sends, before `h2` acts on them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    ProtectionLimits,
    alarm::Alarm,
    budget::Budget,
    frames::Frames,
    greeting::{Greeting, PeerSettings},
    unserved::Unserved,
};
use crate::linger;

/// A GOAWAY without debug data, as `h2` writes it: a frame's header, the last stream, the code.
const GOAWAY_LEN: usize = 17;

/// Counts the frames that come over `T`, and says so where they are too many: then nothing more is read, and the GOAWAY
/// with which `h2` ends the connection says why. A peer that does not begin to speak HTTP/2 in time is ended, too.
#[derive(Debug)]
pub(in crate::server) struct FrameGuard<T> {
    io: T,
    /// Until it has come.
    greeting: Option<Box<Greeting>>,
    /// `None` where frames are not counted.
    frames: Option<Box<Frames>>,
    refused_streams: Option<Budget>,
    alarm: Arc<Alarm>,
    /// What is written once the alarm is raised: it ends with the GOAWAY.
    last: Vec<u8>,
    last_is_complete: bool,
    lingered: usize,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Allowance {
    /// Whether frames are counted at all.
    pub(in crate::server) counts_frames: bool,
    /// The least time between two pings while nothing is said beside them.
    pub(in crate::server) min_ping_interval: Duration,
    /// Frames that carry no call.
    pub(in crate::server) control_frames: Budget,
    /// Updates of windows, and resets of streams that are not there, beyond those that follow on what was sent.
    pub(in crate::server) window_updates: Budget,
    /// Streams that are not served; unless it is set, by how many a peer may have at a time.
    pub(in crate::server) refused_streams: Option<Budget>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            counts_frames: true,
            min_ping_interval: Duration::from_secs(5),
            control_frames: Budget {
                burst: 1000,
                per_second: 200,
            },
            window_updates: Budget {
                burst: 4000,
                per_second: 1000,
            },
            refused_streams: None,
        }
    }
}

impl<T> FrameGuard<T> {
    pub(in crate::server) fn new(io: T, limits: &ProtectionLimits, alarm: Arc<Alarm>) -> Self {
        let allowance = limits.allowance;
        Self {
            io,
            greeting: Some(Box::new(Greeting::new(limits.handshake_timeout))),
            frames: allowance
                .counts_frames
                .then(|| Box::new(Frames::new(allowance))),
            refused_streams: allowance.refused_streams,
            alarm,
            last: Vec::new(),
            last_is_complete: false,
            lingered: 0,
        }
    }

    /// What the peer says of itself.
    pub(in crate::server) fn peer_settings(&self) -> Arc<PeerSettings> {
        let settings = self.greeting.as_ref().map(|greeting| greeting.settings());
        settings.unwrap_or_default()
    }

    /// The streams that are opened and not served; where frames are not counted, there are none.
    pub(in crate::server) fn unserved(&self, max_concurrent_streams: u32) -> Unserved {
        let opened = self.frames.as_ref().map(|frames| frames.opened());
        let budget = self.refused_streams;
        let budget = budget.unwrap_or_else(|| Unserved::budget(max_concurrent_streams));
        Unserved::new(opened.unwrap_or_default(), budget)
    }

    /// Gives the GOAWAY its debug data.
    fn complete_last(&mut self) {
        if self.last_is_complete {
            return;
        }
        self.last_is_complete = true;
        let Some(flood) = self.alarm.flood() else {
            return;
        };
        let Some(at) = self.last.len().checked_sub(GOAWAY_LEN) else {
            return;
        };
        if let [0, 0, 8, 7, ..] = self.last[at..] {
            let text = flood.as_str().as_bytes();
            self.last[at + 2] += u8::try_from(text.len()).expect("the texts are short");
            self.last.extend_from_slice(text);
        }
    }
}

impl<T: AsyncRead + Unpin> FrameGuard<T> {
    /// Reads, until the peer's greeting takes too long.
    fn poll_heard(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(greeting) = &mut self.greeting {
            if read.is_pending() {
                ready!(greeting.poll_late(cx));
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the peer has not begun to speak HTTP/2 within `handshake_timeout`",
                )));
            }
            if greeting.read(&buf.filled()[before..]) {
                self.greeting = None;
            }
        }
        read
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FrameGuard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(frames) = &mut this.frames {
            if this.alarm.flood().is_some() {
                // The alarm has woken the task that ends the connection.
                return Poll::Pending;
            }
            if frames.is_turn_over() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let before = buf.filled().len();
        ready!(this.poll_heard(cx, buf))?;
        let Some(frames) = &mut this.frames else {
            return Poll::Ready(Ok(()));
        };
        match frames.read(&buf.filled()[before..]) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(flood) => {
                this.alarm.raise(flood);
                buf.set_filled(before);
                Poll::Pending
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FrameGuard<T> {
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
        if this.alarm.flood().is_some() {
            let before = this.last.len();
            for slice in data {
                this.last.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(this.last.len() - before));
        }
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, data);
        if let (Some(frames), Poll::Ready(Ok(written))) = (&mut this.frames, &written) {
            frames.wrote(*written);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.alarm.flood().is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.complete_last();
        while !this.last.is_empty() {
            match ready!(Pin::new(&mut this.io).poll_write(cx, &this.last))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(this.last.drain(..written)),
            }
        }
        ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        while this.alarm.flood().is_some() && this.lingered < linger::BYTES {
            let mut buf = [0; 4 << 10];
            let mut buf = ReadBuf::new(&mut buf);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 => break,
                read => this.lingered += read,
            }
        }
        Poll::Ready(Ok(()))
    }
}
