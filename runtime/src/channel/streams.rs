//! Room for streams on one connection: a call waits here for its turn, before it has left the client.
//!
//! `h2` would queue it, too, but not say afterwards whether a stream that failed with its connection had left the queue; a
//! call that never left is sent again whatever its policy, and one that did must not be.

use std::{
    pin::pin,
    sync::{
        Arc,
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
        let _waiting = Waiting::new(self);
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
    fn new(streams: &'a Streams) -> Self {
        streams.waiting.fetch_add(1, Ordering::SeqCst);
        Self(streams)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells calls that wait for room when the peer lets them have more, or is going away.
pub(super) struct Watcher {
    streams: Arc<Streams>,
    sender: SendRequest<Bytes>,
    limit: usize,
}

impl Watcher {
    pub(super) fn new(streams: Arc<Streams>, sender: SendRequest<Bytes>) -> Self {
        Self {
            streams,
            limit: sender.current_max_send_streams(),
            sender,
        }
    }

    /// Looks at the connection, after it has been driven on.
    pub(super) fn look(&mut self, cx: &mut TaskContext<'_>) {
        if self.streams.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let limit = self.sender.current_max_send_streams();
        let ending = matches!(self.sender.poll_ready(cx), Poll::Ready(Err(_)));
        if ending || limit > self.limit {
            self.streams.changed.notify_waiters();
        }
        self.limit = limit;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.streams.changed.notify_waiters();
    }
}
