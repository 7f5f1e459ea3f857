//! Room for streams: a call waits here for its turn, before it has left the client.
//!
//! `h2` would queue it, too, but not say afterwards whether a stream that failed with its connection had left the queue; a
//! call that never left is sent again whatever its policy, and one that did must not be.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll, Waker},
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The most streams that a connection gets, whatever its peer allows: more than any can serve.
const MAX_STREAMS: usize = 1 << 20;

/// The turns of calls at the connections of one subchannel, in the order in which they came.
///
/// There is never less than a turn for each room on a connection. There may be more, after a connection was lost: whoever
/// finds no room with its turn gives it up, and waits for another.
#[derive(Debug)]
pub(super) struct Turns {
    semaphore: Semaphore,
    waiting: AtomicUsize,
    /// Calls that have been given room, ever, and those whose streams have not ended.
    started: AtomicUsize,
    in_flight: AtomicUsize,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            semaphore: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// A turn, if nobody has to wait.
    pub(super) fn try_take(&self) -> Option<SemaphorePermit<'_>> {
        self.semaphore.try_acquire().ok()
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> SemaphorePermit<'_> {
        let turn = self.semaphore.acquire().await;
        turn.expect("the semaphore is never closed")
    }

    /// Counts the caller among those that wait, until what it gets is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }

    pub(super) fn are_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(super) fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// A call that waits for its turn.
pub(super) struct Waiting<'a>(&'a Turns);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    turns: Arc<Turns>,
    /// Streams that have room, and how many may have it.
    open: AtomicUsize,
    limit: AtomicUsize,
    peer_limit: AtomicUsize,
    /// Whether calls may find it: room that they cannot find is worth no turn.
    in_use: AtomicBool,
    /// Those that nobody holds any more: `h2` counts them until it has sent what ends them.
    ended: AtomicUsize,
    driver: OnceLock<Waker>,
    /// Held while room and turns change together: the connection's task and whoever gives it up may both be at it.
    accounts: Mutex<()>,
}

/// Room for one stream; to be dropped after all handles to the stream.
#[derive(Debug)]
pub(crate) struct Room {
    streams: Arc<Streams>,
    user: User,
}

/// Who uses a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Call,
    /// The channel itself, which is idle all the same.
    Channel,
}

impl Streams {
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        Self {
            turns,
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            peer_limit: AtomicUsize::new(0),
            in_use: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
            driver: OnceLock::new(),
            accounts: Mutex::new(()),
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn has_room(&self) -> bool {
        self.open() < self.limit.load(Ordering::SeqCst)
    }

    /// Takes room, if there is some.
    pub(super) fn try_take(self: &Arc<Self>, user: User) -> Option<Room> {
        let limit = self.limit.load(Ordering::SeqCst);
        let take = |open| (open < limit).then_some(open + 1);
        let taken = self
            .open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.ok()?;
        if user == User::Call {
            self.turns.started.fetch_add(1, Ordering::Relaxed);
            self.turns.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        Some(Room {
            streams: Arc::clone(self),
            user,
        })
    }

    /// Drives the connection on by `drive`, and follows what came of it: streams that have ended, and the peer's limit.
    pub(super) fn driven<T>(
        &self,
        cx: &mut TaskContext<'_>,
        drive: impl FnOnce(&mut TaskContext<'_>) -> (Poll<T>, usize),
    ) -> Poll<T> {
        self.driver.get_or_init(|| cx.waker().clone());
        // What ends while the connection is driven may not be sent by then.
        let ended = self.ended.load(Ordering::SeqCst);
        let (driven, limit) = drive(cx);
        let limit = limit.min(MAX_STREAMS);
        if ended == 0 && limit == self.peer_limit.load(Ordering::SeqCst) {
            return driven;
        }
        let _accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        self.ended.fetch_sub(ended, Ordering::SeqCst);
        self.open.fetch_sub(ended, Ordering::SeqCst);
        let changed = limit != self.peer_limit.swap(limit, Ordering::SeqCst);
        if self.in_use.load(Ordering::SeqCst) {
            if changed {
                self.follow(limit);
            }
            if ended > 0 {
                self.turns.semaphore.add_permits(ended);
            }
        }
        driven
    }

    /// Gives room from now on.
    pub(super) fn begin(&self) {
        let _accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_use.store(true, Ordering::SeqCst);
        self.follow(self.peer_limit.load(Ordering::SeqCst));
    }

    /// Gives room to nobody any more.
    pub(super) fn close(&self) {
        let _accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_use.store(false, Ordering::SeqCst);
        let limit = self.limit.swap(0, Ordering::SeqCst);
        let free = limit.saturating_sub(self.open());
        self.turns.semaphore.forget_permits(free);
    }

    fn follow(&self, limit: usize) {
        let before = self.limit.swap(limit, Ordering::SeqCst);
        // What is open beyond a limit has no turn to give up.
        let open = self.open();
        let (had, has) = (before.saturating_sub(open), limit.saturating_sub(open));
        self.turns.semaphore.add_permits(has.saturating_sub(had));
        self.turns.semaphore.forget_permits(had.saturating_sub(has));
    }

    /// Has the connection driven, so that what has ended is looked for.
    pub(super) fn wake_driver(&self) {
        if let Some(driver) = self.driver.get() {
            driver.wake_by_ref();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Self { streams, user } = self;
        if *user == User::Call {
            streams.turns.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        streams.ended.fetch_add(1, Ordering::SeqCst);
        if streams.turns.are_awaited() {
            streams.wake_driver();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn cx() -> TaskContext<'static> {
        TaskContext::from_waker(Waker::noop())
    }

    fn opened(turns: &Arc<Turns>, limit: usize) -> Arc<Streams> {
        let streams = Arc::new(Streams::new(Arc::clone(turns)));
        let _ = streams.driven(&mut cx(), |_| (Poll::<()>::Pending, limit));
        streams.begin();
        streams
    }

    fn room(streams: &Arc<Streams>) -> Room {
        streams.turns.try_take().unwrap().forget();
        streams.try_take(User::Call).unwrap()
    }

    /// A connection that is given up while its task counts an ended stream takes a turn from another connection.
    #[test]
    fn a_connection_that_closes_as_a_stream_ends_takes_no_turn_of_another() {
        for round in 0..2_000 {
            let turns = Arc::new(Turns::new());
            let (one, other) = (opened(&turns, 1), opened(&turns, 1));
            drop(room(&one));
            let barrier = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    let _ = one.driven(&mut cx(), |_| (Poll::<()>::Pending, 1));
                });
                barrier.wait();
                one.close();
            });
            assert!(other.has_room());
            assert!(
                turns.try_take().is_some(),
                "round {round}: there is room and no turn for it"
            );
        }
    }

    /// A peer that lowers its limit below what is open.
    #[test]
    fn a_limit_that_falls_below_what_is_open_takes_no_turn_of_another() {
        let turns = Arc::new(Turns::new());
        let one = opened(&turns, 5);
        let _rooms: Vec<_> = (0..5).map(|_| room(&one)).collect();
        let other = opened(&turns, 1);
        let _ = one.driven(&mut cx(), |_| (Poll::<()>::Pending, 1));
        assert!(other.has_room());
        assert!(
            turns.try_take().is_some(),
            "there is room and no turn for it"
        );
    }

    /// The peer's limit comes as the connection is taken into use.
    #[test]
    fn a_limit_that_comes_as_a_connection_is_taken_into_use_holds() {
        for round in 0..2_000 {
            let turns = Arc::new(Turns::new());
            let one = Arc::new(Streams::new(Arc::clone(&turns)));
            let _ = one.driven(&mut cx(), |_| (Poll::<()>::Pending, usize::MAX));
            let barrier = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    let _ = one.driven(&mut cx(), |_| (Poll::<()>::Pending, 1));
                });
                barrier.wait();
                one.begin();
            });
            let limit = one.limit.load(Ordering::SeqCst);
            assert_eq!(limit, 1, "round {round}");
            assert!(turns.try_take().is_some(), "round {round}");
        }
    }
}
