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
            let owner = Owner(Arc::downgrade(shared), Arc::clone(&shared.turns));
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
                sleep_until(next_at).await;
            }
            deadline = Instant::now() + shared.connector.timeout;
        }
    }

    async fn wanted(&self, redial: &mut Redial) -> Wanted {
        loop {
            self.shared.changed.notified().await;
            let mut state = self.shared.lock();
            if state.task != self.number || matches!(state.condition, Condition::Idle) {
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
                Some(Lost::Unused) | None => Wanted::Connection,
            };
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.task != self.number {
            return;
        }
        state.has_task = false;
        if state.open.is_empty() {
            state.condition = Condition::Idle;
        }
        drop(state);
        self.shared.tell();
    }
}

fn closed() -> Status {
    Status::unavailable("the connection closed as soon as it was made")
}
