//! The connections of a subchannel, as they come and go.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    task::{Context as TaskContext, Waker},
    time::Duration,
};

use tokio::{sync::SemaphorePermit, time::Instant};
use tonic::Status;

use super::{Condition, Lost, Reconnect, Shared, State};
use crate::channel::{
    address::Address,
    connection::{Connection, Opened},
    streams::{Streams, User},
};

/// A connection that was lost before it had carried a call, within this time, counts as one that could not be made.
const SHORT_LIVED: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn addresses(&self) -> Arc<[Address]> {
        Arc::clone(&self.lock().addresses)
    }

    /// Uses a turn for room on the connection with the fewest streams; gives the turn up where none has room.
    pub(super) fn open(&self, turn: SemaphorePermit<'_>) -> Option<Connection> {
        turn.forget();
        self.open_for(User::Call)
    }

    pub(super) fn open_for(&self, user: User) -> Option<Connection> {
        loop {
            let state = self.lock();
            let with_room = state.open.iter().filter(|opened| opened.streams.has_room());
            let opened = with_room.min_by_key(|opened| opened.streams.open())?;
            // Room is taken under the lock alone.
            let room = opened.streams.try_take(user)?;
            if let Some(connection) = opened.with(room) {
                return Some(connection);
            }
            let ended = Arc::clone(&opened.streams);
            drop(state);
            self.retire(&ended);
        }
    }

    /// Whether there is to be one connection more: there are fewer than always, or calls wait while none has room.
    pub(super) fn has_too_few(&self, state: &State) -> bool {
        let count = state.open.len();
        let full = || !state.open.iter().any(|opened| opened.streams.has_room());
        count < self.pool.min || count < self.pool.max && self.turns.are_awaited() && full()
    }

    /// Has ended streams looked for, and one more connection made where that is allowed.
    pub(super) fn want_room(&self) {
        for opened in &self.lock().open {
            opened.streams.wake_driver();
        }
        self.changed.notify_one();
    }

    /// Uses a connection from now on, unless it has ended again.
    pub(super) fn add(self: &Arc<Self>, opened: Opened) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let streams = Arc::clone(&opened.streams);
        if state.open.is_empty() {
            state.since = Instant::now();
            state.started = self.turns.started();
        }
        if std::mem::take(&mut state.is_new) {
            state.serving_since = Instant::now();
        }
        let was_ready = matches!(state.condition, Condition::Ready);
        state.condition = Condition::Ready;
        state.open.push(opened);
        let added = state.open.last_mut().expect("it was pushed");
        let is_open = added.is_open(&mut TaskContext::from_waker(Waker::noop()));
        streams.begin();
        if !was_ready {
            self.begin_health_check(&mut state);
        }
        drop(state);
        if !is_open {
            self.retire(&streams);
        } else if !was_ready {
            self.tell();
        }
    }

    /// Gives up a connection, unless that is done already; streams on it go on.
    pub(super) fn retire(&self, streams: &Arc<Streams>) {
        let mut state = self.lock();
        let is_it = |opened: &Opened| Arc::ptr_eq(&opened.streams, streams);
        let Some(index) = state.open.iter().position(is_it) else {
            return;
        };
        let retired = state.open.swap_remove(index);
        retired.streams.close();
        if state.open.is_empty() {
            state.health.stop();
            let lost = if self.turns.started() > state.started {
                Lost::InUse
            } else if state.since.elapsed() < SHORT_LIVED {
                Lost::AtOnce
            } else {
                Lost::Unused
            };
            let reconnects =
                !matches!((lost, state.reconnect), (Lost::Unused, Reconnect::OnDemand));
            state.lost = Some(lost);
            state.condition = if state.has_task && reconnects {
                Condition::Connecting
            } else {
                Condition::Idle
            };
        }
        drop(state);
        self.changed.notify_one();
        self.tell();
        if let Some(core) = self.core.upgrade() {
            core.resolve_again();
        }
    }

    /// No connection could be made, or it was lost at once: a server that comes now is a new one.
    pub(super) fn failed(&self) {
        let mut state = self.lock();
        state.is_new |= state.open.is_empty();
    }

    /// Calls are to fail for as long as no connection can be made.
    pub(super) fn fail(&self, failure: Status) {
        let mut state = self.lock();
        if !state.open.is_empty() {
            return;
        }
        state.condition = Condition::TransientFailure(Arc::new(failure));
        drop(state);
        self.tell();
        if let Some(core) = self.core.upgrade() {
            core.resolve_again();
        }
    }

    pub(super) fn tell(&self) {
        if let Some(core) = self.core.upgrade() {
            core.refresh();
        }
    }

    /// The same, of what ends with its runtime.
    pub(super) fn show(&self) {
        if let Some(core) = self.core.upgrade() {
            core.show();
        }
    }
}
