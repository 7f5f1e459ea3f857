//! Room for streams on one connection: a call waits here for its turn, before it has left the client.
//!
//! `h2` would queue it, too, but not say afterwards whether a stream that failed with its connection had left the queue; a
//! call that never left is sent again whatever its policy, and one that did must not be.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Notify;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: AtomicUsize,
    waiting: AtomicUsize,
    changed: Notify,
    /// The connection, while somebody waits: whoever drives it must not hold a handle, which would keep it open.
    watched: Mutex<Option<Watched>>,
}

#[derive(Debug)]
struct Watched {
    sender: SendRequest<Bytes>,
    limit: usize,
}

/// Room for one stream, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room(Arc<Streams>);

impl Streams {
    /// Waits for room for one more stream.
    ///
    /// # Errors
    ///
    /// Where the connection has ended, or its peer is going away.
    pub(super) async fn room(
        self: &Arc<Self>,
        mut sender: SendRequest<Bytes>,
    ) -> Result<(SendRequest<Bytes>, Room), h2::Error> {
        sender = sender.ready().await?;
        if self.take(sender.current_max_send_streams()) {
            return Ok((sender, Room(Arc::clone(self))));
        }
        let _waiting = Waiting::new(self, &sender);
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed: whoever gives room back sees that somebody waits.
            changed.as_mut().enable();
            sender = sender.ready().await?;
            if self.take(sender.current_max_send_streams()) {
                return Ok((sender, Room(Arc::clone(self))));
            }
            changed.await;
        }
    }

    /// Looks at the connection after it has been driven on: calls that wait are told when the peer lets them have more,
    /// or is going away.
    pub(super) fn look(&self, cx: &mut TaskContext<'_>) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(watched) = &mut *self.watched() {
            let limit = watched.sender.current_max_send_streams();
            let ending = matches!(watched.sender.poll_ready(cx), Poll::Ready(Err(_)));
            if ending || limit > watched.limit {
                self.changed.notify_waiters();
            }
            watched.limit = limit;
        }
    }

    /// Tells calls that wait that the connection has ended.
    pub(super) fn end(&self) {
        self.changed.notify_waiters();
    }

    fn watched(&self) -> MutexGuard<'_, Option<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, limit: usize) -> bool {
        let take = |open| (open < limit).then_some(open + 1);
        self.open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.changed.notify_one();
        }
    }
}

/// Counts a call that waits for room.
struct Waiting<'a>(&'a Streams);

impl<'a> Waiting<'a> {
    fn new(streams: &'a Streams, sender: &SendRequest<Bytes>) -> Self {
        let mut watched = streams.watched();
        streams.waiting.fetch_add(1, Ordering::SeqCst);
        watched.get_or_insert_with(|| Watched {
            limit: sender.current_max_send_streams(),
            sender: sender.clone(),
        });
        Self(streams)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut watched = self.0.watched();
        if self.0.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            *watched = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use crate::channel::Channel;

    #[tokio::test]
    async fn a_channel_that_is_dropped_closes_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(async move {
            let (io, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(io).await.unwrap();
            while connection.accept().await.is_some() {}
        });
        drop(Channel::connect(&target).await.unwrap());
        served.await.unwrap();
    }
}
