//! One HTTP/2 connection.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use h2::{
    Ping, Reason,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    address::Address,
    connector::Connector,
    outcome::Outcome,
    streams::{Room, Streams},
    subchannel::Owner,
};
use crate::{
    deferred::Deferred,
    heard::{Heard, Listening},
    limits::{MAX_FRAME_SIZE, MAX_STREAM_ERRORS, REMEMBERED_RESETS, SMALL_FRAMES_BUDGET},
};

/// A handle to an HTTP/2 connection that has room for one stream more.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    room: Room,
    outcome: Option<Outcome>,
}

impl Connection {
    /// Has the attempt that uses it tell `outcome` what it came to.
    pub(super) fn telling(self, outcome: Option<Outcome>) -> Self {
        Self { outcome, ..self }
    }

    /// What is to be told of the attempt's end.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Opens the stream; what it sends goes to the returned handle, and its room is held until it has ended.
    pub(crate) fn send_request(
        mut self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, h2::SendStream<Bytes>, Room), h2::Error> {
        let (response, stream) = self.sender.send_request(request, false)?;
        Ok((response, stream, self.room))
    }
}

/// A connection that streams are opened on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) address: Address,
    pub(super) streams: Arc<Streams>,
    sender: SendRequest<Bytes>,
}

impl Opened {
    /// A handle with room for one stream; `None` where the connection has ended, or its peer is going away.
    pub(super) fn with(&self, room: Room) -> Option<Connection> {
        let mut sender = self.sender.clone();
        match sender.poll_ready(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Some(Connection {
                sender,
                room,
                outcome: None,
            }),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Whether streams can be opened; whoever asks is told when that changes.
    pub(super) fn is_open(&mut self, cx: &mut TaskContext<'_>) -> bool {
        !matches!(self.sender.poll_ready(cx), Poll::Ready(Err(_)))
    }
}

/// Begins HTTP/2 on `io`, and has a task of its own drive it to its end, which the owner is told of.
pub(super) async fn handshake<T>(
    io: T,
    address: &Address,
    connector: &Connector,
    owner: Owner,
) -> Result<Opened, h2::Error>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let keepalive = connector.keepalive.clone();
    let heard = keepalive.is_some().then(Heard::new);
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(connector.windows.stream)
        .initial_connection_window_size(connector.windows.connection)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
        .data_frame_budget(SMALL_FRAMES_BUDGET)
        .handshake(Deferred::new(Listening::new(io, heard.clone())))
        .await?;
    let mut pings = connection
        .ping_pong()
        .expect("the first to ask for it gets it");
    let streams = Arc::new(Streams::new(owner.turns()));
    let opened = Opened {
        address: address.clone(),
        streams: Arc::clone(&streams),
        sender,
    };
    let (established, is_established) = oneshot::channel();
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        let driven = Driven { owner, streams };
        let ended = poll_fn(|cx| driven.poll(cx, &mut connection));
        let Some((keepalive, heard)) = keepalive.zip(heard) else {
            return logged(ended.await);
        };
        let silence = async {
            match is_established.await {
                Ok(pings) => keepalive.watch(pings, &heard, &driven.streams).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = ended => {
                if ended.as_ref().is_err_and(is_too_many_pings) {
                    keepalive.slow_down();
                }
                logged(ended)
            }
            // Dropping the connection ends its streams.
            () = silence => {
                tracing::debug!(target: "wireloom", "the connection does not answer a ping");
                Ok(())
            }
        }
    }));
    // The handshake does not wait for the peer to say anything; its first answer shows that it speaks HTTP/2.
    if let Err(error) = pings.ping(Ping::opaque()).await {
        // The ping knows no more than that the connection has ended; whoever drove it knows why.
        let ended = driver.await.unwrap_or(Ok(()));
        return Err(ended.err().unwrap_or(error));
    }
    // Without a keepalive nobody wants it.
    let _ = established.send(pings);
    driver.detach();
    Ok(opened)
}

fn logged(ended: Result<(), h2::Error>) -> Result<(), h2::Error> {
    if let Err(error) = &ended {
        tracing::debug!(target: "wireloom", %error, "connection ended");
    }
    ended
}

/// How a server says that it was pinged too often (gRFC A8).
fn is_too_many_pings(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
}

/// A connection that is driven. Its owner is told of its end when this is dropped: so even where the runtime that drives
/// it is shut down.
struct Driven {
    owner: Owner,
    streams: Arc<Streams>,
}

impl Driven {
    fn poll<T>(
        &self,
        cx: &mut TaskContext<'_>,
        connection: &mut h2::client::Connection<T, Bytes>,
    ) -> Poll<Result<(), h2::Error>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let driven = self.streams.driven(cx, |cx| {
            let driven = Pin::new(&mut *connection).poll(cx);
            (driven, connection.max_concurrent_send_streams())
        });
        if driven.is_pending() {
            self.owner.look(&self.streams, cx);
        }
        driven
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.owner.ended(&self.streams);
    }
}
