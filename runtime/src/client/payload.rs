//! What a call sends, whatever attempts send it.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use tonic::Status;

use super::{budget::Reservation, replay::ReplayBuffer};

/// What a call sends, encoded once.
pub(crate) enum Payload {
    /// One message, there from the start: replaying it is a shared handle.
    Message {
        frame: Bytes,
        /// What it takes of the budget, where configured attempts may send it again.
        kept: Option<Reservation>,
    },
    /// Messages to come.
    Frames(Arc<ReplayBuffer>),
}

impl Payload {
    /// Whether a configured retry or hedge could send all that was sent so far.
    pub(crate) fn can_replay(&self) -> bool {
        match self {
            Self::Message { kept, .. } => kept.is_some(),
            Self::Frames(buffer) => buffer.can_replay(),
        }
    }

    /// What is still of use once the call is committed to an attempt.
    pub(crate) fn into_committed(self) -> Option<Arc<ReplayBuffer>> {
        match self {
            Self::Message { .. } => None,
            Self::Frames(buffer) => Some(buffer),
        }
    }

    /// Whether an attempt that the server never saw can be sent again: a message is always there, a stream where
    /// nothing of it is lost yet.
    pub(crate) fn can_resend(&self) -> bool {
        match self {
            Self::Message { .. } => true,
            Self::Frames(buffer) => buffer.can_resend(),
        }
    }

    /// The error that the caller's own stream ended with, which is why the attempt was reset.
    pub(crate) fn error(&self) -> Option<Status> {
        match self {
            Self::Message { .. } => None,
            Self::Frames(buffer) => buffer.error(),
        }
    }

    /// Ready once the call is committed to an attempt, as when the buffer overflows; gives the attempt's index.
    pub(crate) fn poll_winner(&self, cx: &mut TaskContext<'_>) -> Poll<usize> {
        match self {
            Self::Message { .. } => Poll::Pending,
            Self::Frames(buffer) => buffer.poll_winner(cx),
        }
    }
}
