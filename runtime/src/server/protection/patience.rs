//! How long a peer may take nothing of what is written to it.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
    time::Sleep,
};

/// Ends a connection whose peer takes nothing of what is written to it.
///
/// It is the innermost of all that is around a socket: what keeps writes back, or encrypts them, does not say how much of them
/// was taken.
#[derive(Debug)]
pub(in crate::server) struct Patient<T> {
    io: T,
    patience: Duration,
    /// While a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(in crate::server) fn new(io: T, patience: Duration) -> Self {
        Self {
            io,
            patience,
            stalled: None,
        }
    }

    /// Ends a wait that goes on for too long.
    fn bounded<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        // Though reading has used up the task's turn: it may do so each time.
        ready!(pin!(unconstrained(stalled.as_mut())).poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the peer took nothing of what was written for {patience:?}"),
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, data);
        this.bounded(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, data);
        this.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::{Instant, sleep, timeout},
    };

    use super::*;
    use crate::deferred::Deferred;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What a connection writes to, over a socket that has room for so much.
    fn writer(room: usize) -> (Deferred<Patient<DuplexStream>>, DuplexStream) {
        let (ours, theirs) = duplex(room);
        (Deferred::new(Patient::new(ours, MINUTE)), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_left() {
        let (mut io, _theirs) = writer(10);
        let begun = Instant::now();
        io.write_all(&[7; 1000]).await.unwrap();
        let error = io.shutdown().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < MINUTE + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_little_now_and_then_is_not_left() {
        let (mut io, mut theirs) = writer(10);
        let taking = tokio::spawn(async move {
            let mut taken = 0;
            while taken < 1000 {
                sleep(MINUTE / 2).await;
                taken += theirs.read(&mut [0; 10]).await.unwrap();
            }
        });
        io.write_all(&[7; 1000]).await.unwrap();
        io.shutdown().await.unwrap();
        taking.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_back_meanwhile_is_not_taken() {
        let (mut io, _theirs) = writer(10);
        let begun = Instant::now();
        let error = loop {
            // There is room for it in front of the socket.
            io.write_all(&[7; 20]).await.unwrap();
            if let Ok(ended) = timeout(MINUTE / 4, io.shutdown()).await {
                break ended.unwrap_err();
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < MINUTE + Duration::from_secs(1));
    }
}
