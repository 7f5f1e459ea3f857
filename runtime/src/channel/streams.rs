//! Room for streams on one connection: a call waits here for its turn, before it has left the client.
//!
//! `h2` would queue it, too, but not say afterwards whether a stream that failed with its connection had left the queue; a
//! call that never left is sent again whatever its policy, and one that did must not be.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use h2::{Reason, client::SendRequest};
use tokio::sync::Semaphore;

/// The streams of one connection; calls that wait for room get it in the order in which they came.
#[derive(Debug)]
pub(super) struct Streams {
    room: Semaphore,
    /// What the semaphore has been given in all: the peer's limit, or more where that has been lowered under open streams.
    granted: AtomicUsize,
    /// Streams that nobody holds any more: `h2` counts them until it has sent what ends them.
    ended: AtomicUsize,
    waiting: AtomicUsize,
    driver: OnceLock<Waker>,
    /// The connection, while somebody waits: whoever drives it must not hold a handle, which would keep it open.
    watched: Mutex<Option<SendRequest<Bytes>>>,
}

/// Room for one stream; to be dropped after all handles to the stream.
#[derive(Debug)]
pub(crate) struct Room(Arc<Streams>);

impl Streams {
    /// The streams of a connection whose peer allows `limit` of them.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            room: Semaphore::new(limit),
            granted: AtomicUsize::new(limit),
            ended: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            driver: OnceLock::new(),
            watched: Mutex::new(None),
        }
    }

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
        let room = match self.room.try_acquire() {
            Ok(room) => Ok(room),
            Err(_) => {
                let _waiting = Waiting::new(self, &sender);
                self.room.acquire().await
            }
        };
        match room {
            Ok(room) => {
                room.forget();
                Ok((sender, Room(Arc::clone(self))))
            }
            Err(_) => {
                sender.ready().await?;
                Err(Reason::NO_ERROR.into())
            }
        }
    }

    /// Drives the connection on by `drive`, and looks at what came of it: whether streams have ended, the peer's `limit` is
    /// another, or it is going away.
    pub(super) fn driven<T>(
        &self,
        cx: &mut TaskContext<'_>,
        drive: impl FnOnce(&mut TaskContext<'_>) -> (Poll<T>, usize),
    ) -> Poll<T> {
        self.driver.get_or_init(|| cx.waker().clone());
        // What ends while the connection is driven may not be sent by then.
        let ended = self.ended.load(Ordering::SeqCst);
        let (driven, limit) = drive(cx);
        if ended > 0 {
            self.ended.fetch_sub(ended, Ordering::SeqCst);
        }
        self.grant(ended, limit.min(Semaphore::MAX_PERMITS));
        if self.waiting.load(Ordering::SeqCst) > 0
            && let Some(sender) = &mut *self.watched()
            && matches!(sender.poll_ready(cx), Poll::Ready(Err(_)))
        {
            self.room.close();
        }
        driven
    }

    /// Gives back the room of streams that have ended, and follows the limit.
    fn grant(&self, ended: usize, limit: usize) {
        let granted = self.granted.load(Ordering::SeqCst);
        if ended == 0 && granted == limit {
            return;
        }
        let open = granted - ended;
        if open < limit {
            self.room.add_permits(limit - open);
            self.granted.store(limit, Ordering::SeqCst);
        } else {
            let taken_back = self.room.forget_permits(open - limit);
            self.granted.store(open - taken_back, Ordering::SeqCst);
        }
    }

    /// Tells calls that wait that the connection has ended.
    pub(super) fn end(&self) {
        self.room.close();
    }

    fn watched(&self) -> MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connection driven, so that it is looked at.
    fn wake_driver(&self) {
        if let Some(driver) = self.driver.get() {
            driver.wake_by_ref();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.wake_driver();
        }
    }
}

/// Counts a call that waits for room.
struct Waiting<'a>(&'a Streams);

impl<'a> Waiting<'a> {
    fn new(streams: &'a Streams, sender: &SendRequest<Bytes>) -> Self {
        let mut watched = streams.watched();
        streams.waiting.fetch_add(1, Ordering::SeqCst);
        watched.get_or_insert_with(|| sender.clone());
        drop(watched);
        // Streams that have ended may not have been looked for since.
        streams.wake_driver();
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
