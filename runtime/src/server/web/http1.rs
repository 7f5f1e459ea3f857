//! HTTP/1.1 beside HTTP/2 on one port: which of them a peer speaks, and how it is served.

use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tonic::body::Body;

use super::{HttpService, answer};
use crate::server::{
    lifetime::{Lifetime, Step},
    peer::Peer,
};

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a peer may take to say a request's head; while it keeps the connection open for a next one, too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Which HTTP a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Spoken {
    Http1,
    Http2,
}

/// Reads until it is clear what `io` speaks; what comes back has all of it to read.
///
/// # Errors
///
/// The connection's, which ends before that.
pub(in crate::server) async fn listen<T: AsyncRead + Unpin>(
    mut io: T,
) -> io::Result<(Spoken, Rewound<T>)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let spoken = loop {
        if !PREFACE.starts_with(&read) {
            break Spoken::Http1;
        }
        if read.len() == PREFACE.len() {
            break Spoken::Http2;
        }
        let missing = PREFACE.len() - read.len();
        if (&mut io).take(missing as u64).read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let read = read.freeze();
    Ok((spoken, Rewound { read, io }))
}

/// Serves a connection of HTTP/1.1, for as long as `lifetime` says.
///
/// # Errors
///
/// The connection's.
pub(in crate::server) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    service: HttpService,
    peer: Peer,
    mut lifetime: Lifetime,
) -> Result<(), hyper::Error> {
    let respond = service_fn(|mut request: Request<Incoming>| {
        peer.extend(request.extensions_mut());
        let answer = answer(&service, request.map(Body::new));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(lifetime.max_idle().min(HEAD_TIMEOUT))
        .serve_connection(TokioIo::new(io), respond);
    let mut connection = pin!(connection);
    lifetime.begin(None, None);
    loop {
        let step = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            // Whether it is idle is for its head's timeout to say.
            Poll::Pending => lifetime.poll(cx, || true).map(Ok),
        });
        match step.await {
            Ok(Step::Drain) => connection.as_mut().graceful_shutdown(),
            Ok(Step::Leave | Step::Close) => return Ok(()),
            Err(ended) => return ended,
        }
    }
}

/// A connection of which something has been read already.
#[derive(Debug)]
pub(in crate::server) struct Rewound<T> {
    read: Bytes,
    io: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let taken = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..taken]);
        self.read.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewound<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn heard(said: &[u8]) -> (Spoken, Vec<u8>) {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        let said = said.to_vec();
        tokio::spawn(async move {
            for byte in said {
                theirs.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (spoken, mut io) = listen(ours).await.unwrap();
        let mut all = Vec::new();
        io.read_to_end(&mut all).await.unwrap();
        (spoken, all)
    }

    #[tokio::test]
    async fn what_is_spoken_is_known_by_its_first_bytes_which_are_not_lost() {
        for (said, spoken) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Spoken::Http1),
            (b"PUT / HTTP/1.1\r\n\r\n", Spoken::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes", Spoken::Http2),
        ] {
            assert_eq!(heard(said).await, (spoken, said.to_vec()));
        }
    }

    #[tokio::test]
    async fn a_peer_that_leaves_early_speaks_nothing() {
        let error = listen(&b"PRI"[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
