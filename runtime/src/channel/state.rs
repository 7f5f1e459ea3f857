//! The state of a channel, for those who follow it.

use std::{fmt, sync::Weak};

use tokio::sync::watch;

use super::core::Core;

/// Whether a channel has connections ([gRPC's connectivity semantics]).
///
/// [gRPC's connectivity semantics]: https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectivityState {
    /// It has none, and makes none until there is a call.
    Idle,
    /// It makes one, or finds out where to; calls wait.
    Connecting,
    /// Calls can be sent.
    Ready,
    /// The last attempt to connect failed; another will be made. Calls fail, unless they wait for ready.
    TransientFailure,
    /// The channel has been dropped.
    Shutdown,
}

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        })
    }
}

/// Follows the state of a channel, without keeping the channel alive; made by
/// [`Channel::watch_state`](super::Channel::watch_state).
#[derive(Clone, Debug)]
pub struct StateWatch {
    states: watch::Receiver<ConnectivityState>,
    core: Weak<Core>,
}

impl StateWatch {
    pub(super) fn new(states: watch::Receiver<ConnectivityState>, core: Weak<Core>) -> Self {
        Self { states, core }
    }

    /// The state now.
    pub fn current(&self) -> ConnectivityState {
        if self.core.strong_count() == 0 {
            return ConnectivityState::Shutdown;
        }
        *self.states.borrow()
    }

    /// Waits until the state is another than the one that was last returned by this method, or than the one that the watch
    /// began with; gives it. States that pass quickly may be missed. [`Shutdown`](ConnectivityState::Shutdown) is the last:
    /// after it, this returns at once.
    pub async fn changed(&mut self) -> ConnectivityState {
        match self.states.changed().await {
            Ok(()) => *self.states.borrow_and_update(),
            Err(_) => ConnectivityState::Shutdown,
        }
    }

    /// Waits until the channel is in `state`, or has been dropped; gives the one that it is in.
    pub async fn until(&mut self, state: ConnectivityState) -> ConnectivityState {
        match self.states.wait_for(|current| *current == state).await {
            Ok(state) => *state,
            Err(_) => ConnectivityState::Shutdown,
        }
    }
}
