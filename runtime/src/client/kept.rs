//! What a call keeps for further attempts: within its own limit, and its channel's budget.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::budget::ReplayBudget;

/// Frames that may have to be sent again, within a limit for the call and a budget for the channel.
pub(super) struct Kept {
    frames: VecDeque<Bytes>,
    /// How many frames were freed from the front: positions count from the first frame of the call.
    freed: usize,
    size: usize,
    limit: usize,
    budget: Arc<ReplayBudget>,
}

impl Kept {
    pub(super) fn new(limit: usize, budget: Arc<ReplayBudget>) -> Self {
        Self {
            frames: VecDeque::new(),
            freed: 0,
            size: 0,
            limit,
            budget,
        }
    }

    pub(super) fn get(&self, position: usize) -> Option<Bytes> {
        self.frames.get(position.checked_sub(self.freed)?).cloned()
    }

    /// Keeps `frame`, where there is room for it.
    pub(super) fn push(&mut self, frame: &Bytes) -> bool {
        let len = frame.len();
        let fits = self.size + len <= self.limit && self.budget.take(len);
        if fits {
            self.size += len;
            self.frames.push_back(frame.clone());
        }
        fits
    }

    /// Keeps `frame`, whether or not there is room: nobody has sent it.
    pub(super) fn push_over(&mut self, frame: Bytes) {
        self.size += frame.len();
        self.budget.take_over(frame.len());
        self.frames.push_back(frame);
    }

    /// Frees the frames before `position`; those that were not kept need it no more than those that were.
    pub(super) fn free_to(&mut self, position: usize) {
        while self.freed < position {
            self.freed += 1;
            if let Some(frame) = self.frames.pop_front() {
                self.give_back(frame.len());
            }
        }
    }

    fn give_back(&mut self, bytes: usize) {
        self.size -= bytes;
        self.budget.give(bytes);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.give_back(self.size);
    }
}
