//! The task that makes a subchannel's connections.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::{Condition, Lost, Owner, Shared};
use crate::channel::redial::{Next, Redial};

/// Makes a subchannel's connections, until it is idle; what it leaves is tidied up when it is dropped, even where the
/// runtime that it ran on was shut down.
pub(super) struct Connecting {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
}

/// What a subchannel with connections comes to want.
enum Wanted {
    /// Another connection.
    Connection,
    /// The same, but not at once: the last was lost before it was of use.
    Retry,
    /// Nothing any more.
    Nothing,
}

impl Connecting {
    pub(super) async fn run(self, mut deadline: Instant) {
        let shared = &self.shared;
        let mut redial = Redial::new();
        loop {
            let begun = Instant::now();
            let addresses = shared.addresses();
            let owner = Owner {
                subchannel: Arc::downgrade(shared),
                turns: Arc::clone(&shared.turns),
            };
            let connected = shared.connector.connect(&addresses, deadline, &owner);
            let failure = match connected.await {
                Ok(opened) => {
                    shared.add(opened);
                    match self.wanted(&mut redial).await {
                        Wanted::Connection => None,
                        Wanted::Retry => Some(closed()),
                        Wanted::Nothing => return,
                    }
                }
                Err(failure) => Some(failure),
            };
            if let Some(failure) = failure {
                shared.failed();
                let next_at = match redial.failed(fastrand::f64()) {
                    Next::Soon(wait) => Instant::now() + wait,
                    Next::Later(wait) => {
                        shared.fail(failure);
                        begun + wait
                    }
                };
                tokio::select! {
                    () = sleep_until(next_at) => {}
                    () = self.lost_the_last(&mut redial) => {}
                }
                if self.is_over() {
                    return;
                }
            }
            deadline = Instant::now() + shared.connector.timeout;
        }
    }

    /// Waits until the last connection was lost that had carried calls: no backoff of another is to be kept then.
    async fn lost_the_last(&self, redial: &mut Redial) {
        loop {
            self.shared.changed.notified().await;
            let mut state = self.shared.lock();
            if state.open.is_empty() && matches!(state.lost, Some(Lost::InUse)) {
                state.lost = None;
                return redial.lost();
            }
        }
    }

    /// Whether nobody wants a connection any more, or another task makes them.
    fn is_over(&self) -> bool {
        let state = self.shared.lock();
        state.number != self.number || matches!(state.condition, Condition::Idle)
    }

    fn wants_one_more(&self) -> bool {
        let state = self.shared.lock();
        !state.open.is_empty() && self.shared.has_too_few(&state)
    }

    async fn wanted(&self, redial: &mut Redial) -> Wanted {
        loop {
            if self.wants_one_more() {
                return Wanted::Connection;
            }
            self.shared.changed.notified().await;
            let mut state = self.shared.lock();
            if state.number != self.number || matches!(state.condition, Condition::Idle) {
                return Wanted::Nothing;
            }
            if !state.open.is_empty() {
                if self.shared.has_too_few(&state) {
                    return Wanted::Connection;
                }
                continue;
            }
            return match state.lost.take() {
                Some(Lost::AtOnce) => Wanted::Retry,
                Some(Lost::InUse) => {
                    redial.lost();
                    Wanted::Connection
                }
                Some(Lost::Unused) => {
                    *redial = Redial::new();
                    Wanted::Connection
                }
                None => Wanted::Connection,
            };
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.number != self.number {
            return;
        }
        state.has_task = false;
        if state.open.is_empty() {
            state.condition = Condition::Idle;
        }
        drop(state);
        self.shared.show();
    }
}

fn closed() -> Status {
    Status::unavailable("the connection closed as soon as it was made")
}
