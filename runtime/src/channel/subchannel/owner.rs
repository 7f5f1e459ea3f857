//! What of a subchannel its connections know.

use std::{
    sync::{Arc, Weak},
    task::Context as TaskContext,
};

use super::Shared;
use crate::channel::streams::{Streams, Turns};

/// Who is told what becomes of a connection.
#[derive(Clone, Debug)]
pub(in crate::channel) struct Owner {
    pub(super) subchannel: Weak<Shared>,
    pub(super) turns: Arc<Turns>,
}

impl Owner {
    pub(in crate::channel) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Looks at a connection that has been driven on: one that is going away is replaced at once.
    pub(in crate::channel) fn look(&self, streams: &Arc<Streams>, cx: &mut TaskContext<'_>) {
        let Some(shared) = self.subchannel.upgrade() else {
            return;
        };
        let mut state = shared.lock();
        let mut open = state.open.iter_mut();
        let opened = open.find(|opened| Arc::ptr_eq(&opened.streams, streams));
        let ends = opened.is_some_and(|opened| !opened.is_open(cx));
        drop(state);
        if ends {
            shared.retire(streams);
        }
    }

    pub(in crate::channel) fn ended(&self, streams: &Arc<Streams>) {
        if let Some(shared) = self.subchannel.upgrade() {
            shared.retire(streams);
        }
    }
}
