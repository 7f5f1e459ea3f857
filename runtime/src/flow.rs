//! Flow control of DATA, incoming and outgoing.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream};

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

/// The stream has ended: nobody takes what is sent.
#[derive(Debug)]
pub(crate) struct Gone;

/// Sends `data` once the peer has room for some of it, so that at most one piece waits in the connection.
///
/// Empty data says nothing, and is not sent: there is no room to wait for.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, data: Bytes) -> Result<(), Gone> {
    if data.is_empty() {
        return Ok(());
    }
    room_for(stream, data.len()).await?;
    stream.send_data(data, false).map_err(|_| Gone)
}

/// Waits until the peer has room for all that was sent, and for some of `bytes` more.
pub(crate) async fn room_for(stream: &mut SendStream<Bytes>, bytes: usize) -> Result<(), Gone> {
    stream.reserve_capacity(bytes);
    while stream.capacity() == 0 {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(Gone),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;

    #[tokio::test]
    async fn empty_data_is_passed_over() {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(far).await.unwrap();
            let mut kept = Vec::new();
            while let Some(call) = connection.accept().await {
                kept.push(call);
            }
        });
        let (mut sender, connection) = h2::client::handshake(near).await.unwrap();
        tokio::spawn(connection);
        let (_response, mut stream) = sender
            .send_request(Request::post("http://peer/").body(()).unwrap(), false)
            .unwrap();
        for data in ["", "message", ""] {
            let sent = send(&mut stream, Bytes::from(data));
            let sent = tokio::time::timeout(Duration::from_secs(5), sent).await;
            sent.expect("there is room").unwrap();
        }
    }
}
