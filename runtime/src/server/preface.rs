//! What a peer speaks, by its first bytes, and what becomes of one that does not speak HTTP/2.

use std::{
    io,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::listener::PeerAddr;
use crate::linger;

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What load balancers say ahead of their clients, in both of its versions ([PROXY protocol], sections 2.1 and 2.2).
///
/// [PROXY protocol]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
const PROXY_V1: &[u8] = b"PROXY ";
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// All that is known by more than its first byte.
const OPENINGS: [(&[u8], Spoken); 3] = [
    (PREFACE, Spoken::Http2),
    (PROXY_V1, Spoken::Proxy),
    (PROXY_V2, Spoken::Proxy),
];

/// The kind of record that TLS begins with (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What a client of HTTP/1.1 is told.
const REFUSAL: &str = "This server speaks gRPC, over HTTP/2 alone. `Server::accept_http1` has it speak HTTP/1.1 too.\n";

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http2,
    /// A word, as each request begins with, or the empty line that may come before it (RFC 9112 section 2.2).
    Http1,
    Tls,
    /// The PROXY protocol.
    Proxy,
    Other,
}

impl Spoken {
    /// By the first byte of what is none of the [`OPENINGS`].
    fn by_first_byte(first: u8) -> Self {
        match first {
            HANDSHAKE => Self::Tls,
            b'\r' | b'\n' => Self::Http1,
            _ if first.is_ascii_alphabetic() => Self::Http1,
            _ => Self::Other,
        }
    }
}

/// Reads until it is clear what `io` speaks; what comes back has all of it to read.
///
/// # Errors
///
/// The connection's, which ends before that.
pub(super) async fn listen<T: AsyncRead + Unpin>(mut io: T) -> io::Result<(Spoken, Rewound<T>)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let spoken = loop {
        if let Some((_, spoken)) = OPENINGS
            .iter()
            .find(|(opening, _)| read.starts_with(opening))
        {
            break *spoken;
        }
        if !OPENINGS
            .iter()
            .any(|(opening, _)| opening.starts_with(&read))
        {
            break Spoken::by_first_byte(read[0]);
        }
        // The longest of them.
        let missing = PREFACE.len() - read.len();
        if (&mut io).take(missing as u64).read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let read = read.freeze();
    Ok((spoken, Rewound { read, io }))
}

/// Ends the connection of a peer that does not speak HTTP/2, and tells it why where it may understand.
pub(super) async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    spoken: Spoken,
    peer: PeerAddr,
) {
    let why = match spoken {
        Spoken::Http1 => {
            "it speaks HTTP/1.1, which `Server::accept_http1` serves (feature `http1`)"
        }
        Spoken::Tls => "it speaks TLS, and this listener has none",
        Spoken::Proxy => {
            "it speaks the PROXY protocol, which this server does not: switch that off in the load balancer"
        }
        Spoken::Http2 | Spoken::Other => "it speaks neither HTTP/2 nor HTTP/1.1",
    };
    tracing::debug!(target: "wireloom", ?peer, why, "a peer is not served");
    if spoken == Spoken::Http1 {
        let answer = format!(
            "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{REFUSAL}",
            REFUSAL.len()
        );
        linger::end(io, answer.as_bytes()).await;
    }
}

/// A connection of which something has been read already.
#[derive(Debug)]
pub(super) struct Rewound<T> {
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
            (b"PROPFIND / HTTP/1.1\r\n\r\n", Spoken::Http1),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", Spoken::Http1),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nPRI * HTTP/2.0\r\n\r\n",
                Spoken::Proxy,
            ),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Spoken::Proxy),
            (b"\x16\x03\x01\x02\x00\x01", Spoken::Tls),
            (b"\x00\x00\x12\x04", Spoken::Other),
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
