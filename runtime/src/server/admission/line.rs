//! The calls that wait at a gate.

use std::collections::VecDeque;

use tokio::{sync::oneshot, time::Instant};

use super::{gate::Permit, limits::Queue};
use crate::deadline::FAR_FUTURE;

/// Calls that wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Line {
    queue: Queue,
    waiting: VecDeque<Waiting>,
    next_id: u64,
    /// Since when it has not been empty.
    standing_since: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    turn: oneshot::Sender<Permit>,
    until: Instant,
}

/// Says which of the waiting calls one is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(u64);

impl Line {
    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue,
            waiting: VecDeque::new(),
            next_id: 0,
            standing_since: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a call wait, if there is room for it: says until when, too.
    pub(super) fn join(&mut self) -> Option<(Number, oneshot::Receiver<Permit>, Instant)> {
        if self.queue.max_wait.is_zero() || self.len() >= self.queue.max_calls {
            return None;
        }
        let now = Instant::now();
        self.standing_since.get_or_insert(now);
        let until = now + self.queue.max_wait.min(FAR_FUTURE);
        let (turn, permit) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(Waiting { id, turn, until });
        Some((Number(id), permit, until))
    }

    /// Lets go of a call that waits no longer.
    pub(super) fn leave(&mut self, number: Number) {
        self.waiting.retain(|waiting| waiting.id != number.0);
        self.note_length();
    }

    /// The call whose turn it is. Those that have waited for too long leave here: on a busy runtime, their timers are late.
    pub(super) fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let now = Instant::now();
        let overloaded = self
            .standing_since
            .is_some_and(|since| now - since >= self.queue.max_wait);
        // In the order in which they came, and each waits for as long as any other.
        while self.waiting.front().is_some_and(|first| first.until <= now) {
            self.waiting.pop_front();
        }
        let next = match overloaded {
            true => self.waiting.pop_back(),
            false => self.waiting.pop_front(),
        };
        self.note_length();
        next.map(|waiting| waiting.turn)
    }

    fn note_length(&mut self) {
        if self.waiting.is_empty() {
            self.standing_since = None;
        }
    }
}
