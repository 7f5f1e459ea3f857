use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// What is smaller is not counted: it would cost more than it keeps, and as many streams as there may be keep little of it.
pub(in crate::server) const LEAST_COUNTED: usize = 4 << 10;

/// The bytes of responses that wait for the peer of a connection: for its windows, or for the socket.
///
/// They are counted while they are there, wherever that is, so that whoever drops them need not say so.
#[derive(Debug)]
pub(in crate::server) struct Unsent {
    max: usize,
    held: AtomicUsize,
    /// Tells one of those that wait.
    freed: Notify,
}

impl Unsent {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            held: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Whether there are as many as may be, so that no more should be made.
    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.max
    }

    /// Waits until there are fewer.
    async fn room(&self) {
        while self.is_full() {
            // What is freed before this is polled is noted for it.
            self.freed.notified().await;
        }
        // One after the other, so that the next one sees what this one makes.
        self.freed.notify_one();
    }

    /// Counts `data` for as long as it is there.
    pub(in crate::server) fn hold(self: &Arc<Self>, data: Bytes) -> Bytes {
        if data.len() < LEAST_COUNTED || self.max == usize::MAX {
            return data;
        }
        self.held.fetch_add(data.len(), Ordering::Relaxed);
        Bytes::from_owner(Held {
            data,
            unsent: Arc::clone(self),
        })
    }
}

/// Waits for room, whenever there is none; where nothing is counted, there always is.
pub(in crate::server) struct Room<'a> {
    unsent: Option<&'a Unsent>,
    /// On the heap: few wait.
    waits: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<'a> Room<'a> {
    pub(in crate::server) fn of(unsent: Option<&'a Arc<Unsent>>) -> Self {
        Self {
            unsent: unsent.map(Arc::as_ref),
            waits: None,
        }
    }

    pub(in crate::server) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(unsent) = self.unsent
            && (self.waits.is_some() || unsent.is_full())
        {
            let waits = self.waits.get_or_insert_with(|| Box::pin(unsent.room()));
            ready!(waits.as_mut().poll(cx));
            self.waits = None;
        }
        Poll::Ready(())
    }
}

struct Held {
    data: Bytes,
    unsent: Arc<Unsent>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Unsent { max, held, freed } = &*self.unsent;
        let before = held.fetch_sub(self.data.len(), Ordering::Relaxed);
        if before >= *max && before - self.data.len() < *max {
            freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::mpsc::{self, UnboundedReceiver},
        task::{JoinHandle, yield_now},
    };

    use super::*;

    fn bytes(len: usize) -> Bytes {
        vec![7; len].into()
    }

    #[test]
    fn what_is_there_counts_whoever_has_it() {
        let unsent = Arc::new(Unsent::new(10_000));
        let held = unsent.hold(bytes(10_000));
        assert_eq!(held, bytes(10_000));
        assert!(unsent.is_full());
        let rest = held.slice(5..);
        drop(held);
        assert!(unsent.is_full());
        drop(rest);
        assert!(!unsent.is_full());
    }

    #[test]
    fn what_is_small_does_not_count_and_nothing_does_without_a_limit() {
        let unsent = Arc::new(Unsent::new(1));
        let _small = unsent.hold(bytes(LEAST_COUNTED - 1));
        assert!(!unsent.is_full());
        let unlimited = Arc::new(Unsent::new(usize::MAX));
        let _large = unlimited.hold(bytes(100_000));
        assert_eq!(unlimited.held.load(Ordering::Relaxed), 0);
    }

    /// Three that wait for room, and fill it.
    fn three(unsent: &Arc<Unsent>) -> ([JoinHandle<()>; 3], UnboundedReceiver<Bytes>) {
        let (sender, made) = mpsc::unbounded_channel();
        let three = [(); 3].map(|()| {
            let (unsent, sender) = (Arc::clone(unsent), sender.clone());
            tokio::spawn(async move {
                unsent.room().await;
                sender.send(unsent.hold(bytes(10_000))).unwrap();
            })
        });
        (three, made)
    }

    async fn rest() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn those_that_wait_go_on_one_after_the_other_while_there_is_room() {
        let unsent = Arc::new(Unsent::new(10_000));
        let mut held = unsent.hold(bytes(10_000));
        let (_three, mut made) = three(&unsent);
        for _ in 0..3 {
            rest().await;
            assert!(made.try_recv().is_err());
            drop(held);
            rest().await;
            held = made.try_recv().unwrap();
        }
        drop(held);
        assert_eq!(unsent.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_its_turn_to_the_next() {
        let unsent = Arc::new(Unsent::new(10_000));
        let held = unsent.hold(bytes(10_000));
        let ([first, ..], mut made) = three(&unsent);
        rest().await;
        // The first is told, and has gone before it is polled.
        drop(held);
        first.abort();
        rest().await;
        assert!(made.try_recv().is_ok());
    }
}
