//! Flow control of incoming DATA.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;

/// The next piece of DATA, whose room the peer gets back at once.
pub(crate) fn poll_data(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, h2::Error>>> {
    let data = ready!(stream.poll_data(cx));
    if let Some(Ok(data)) = &data {
        // An error means that the stream is gone, which the next poll reports.
        let _ = stream.flow_control().release_capacity(data.len());
    }
    Poll::Ready(data)
}
