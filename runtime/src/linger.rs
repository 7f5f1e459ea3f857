//! The end of a connection whose peer is to read what was written last: a socket that is closed with unread data resets the
//! connection, and the reset overtakes that.

use std::{io, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How much of what the peer of an ended connection still sends is read.
pub(crate) const BYTES: usize = 64 << 10;

/// How long all of that may take.
const TIME: Duration = Duration::from_secs(1);

/// Writes the last words, ends the connection, and reads what still comes.
pub(crate) async fn end<T: AsyncRead + AsyncWrite + Unpin>(mut io: T, last_words: &[u8]) {
    let ended = async {
        io.write_all(last_words).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(BYTES as u64), &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection is over.
    let _: Result<io::Result<_>, _> = tokio::time::timeout(TIME, ended).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_words_arrive_and_a_peer_that_goes_on_is_left_after_a_second() {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        let began = tokio::time::Instant::now();
        let ending = tokio::spawn(async move { end(ours, b"so long").await });
        let mut heard = Vec::new();
        theirs.write_all(b"more").await.unwrap();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"so long");
        ending.await.unwrap();
        assert_eq!(began.elapsed(), TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_without_end_is_left_after_so_many_bytes() {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        let began = tokio::time::Instant::now();
        let sent = theirs.write_all(&[0; 2 * BYTES]);
        let (sent, ()) = tokio::join!(sent, end(ours, b""));
        sent.unwrap_err();
        assert!(began.elapsed() < TIME);
    }
}
