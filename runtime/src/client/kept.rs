//! What is kept for further attempts: within a limit for each call, and a budget for all calls of a channel.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

/// What all calls of a channel keep for further attempts, in bytes, and may keep.
#[derive(Debug)]
pub(crate) struct ReplayBudget {
    used: AtomicUsize,
    limit: usize,
}

impl ReplayBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Takes `bytes`, where as many are left.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation {
            budget: Arc::clone(self),
            bytes,
        })
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = taken
            .checked_add(bytes)
            .is_some_and(|used| used <= self.limit);
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn take_over(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of a [`ReplayBudget`], given back when dropped.
pub(crate) struct Reservation {
    budget: Arc<ReplayBudget>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

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
