//! A limit on calls under way: whoever is let in holds a permit until it ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tonic::Code;

use super::{
    gradient::{Gradient, Sample},
    limits::{AdaptiveLimit, Queue},
    line::{Line, Number},
    refusal::Reason,
};

/// How long a call holds its permit, where nothing is known of that and none may wait.
const SOME_TIME: Duration = Duration::from_millis(50);

/// How many calls may be under way, how many are, and those that wait.
#[derive(Debug)]
pub(super) struct Gate {
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    /// How long `line` is, so that nobody locks it in vain.
    waiting: AtomicUsize,
    line: Mutex<Line>,
    gradient: Option<Mutex<Gradient>>,
    /// How many have been refused since one was let in.
    refused: AtomicUsize,
    max_wait: Duration,
}

/// How a gate receives a call.
#[derive(Debug)]
pub(super) enum Entered {
    In(Permit),
    Waits(Ticket),
    Full,
}

impl Gate {
    /// A gate that lets in so many.
    pub(super) fn fixed(limit: usize, queue: Queue) -> Arc<Self> {
        Self::new(limit, None, queue)
    }

    /// A gate whose limit follows the samples of what went through it.
    pub(super) fn adaptive(bounds: AdaptiveLimit, queue: Queue) -> Arc<Self> {
        Self::new(
            bounds.initial,
            Some(Mutex::new(Gradient::new(bounds))),
            queue,
        )
    }

    fn new(limit: usize, gradient: Option<Mutex<Gradient>>, queue: Queue) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            line: Mutex::new(Line::new(queue)),
            gradient,
            refused: AtomicUsize::new(0),
            max_wait: queue.max_wait,
        })
    }

    pub(super) fn is_adaptive(&self) -> bool {
        self.gradient.is_some()
    }

    /// Lets a call in, or wait, or neither.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        // Those that wait have their turn before those that come.
        if self.waiting.load(Ordering::SeqCst) == 0 && self.try_take() {
            return Entered::In(self.permit());
        }
        let mut line = self.line();
        // The count says that somebody waits before the last look: whoever leaves after that look sees the count.
        self.waiting.store(line.len() + 1, Ordering::SeqCst);
        let is_first = line.len() == 0;
        let entered = if is_first && self.try_take() {
            Entered::In(self.permit())
        } else {
            match line.join() {
                Some((number, turn, until)) => Entered::Waits(Ticket {
                    gate: Arc::clone(self),
                    number,
                    turn,
                    until,
                }),
                None => Entered::Full,
            }
        };
        self.waiting.store(line.len(), Ordering::SeqCst);
        entered
    }

    /// How long a refused call should stay away: what calls hold their permits for, for each that was refused since one was
    /// let in, which is by how many times there are too many.
    pub(super) fn pushback(&self) -> Duration {
        let usual = self.gradient().and_then(|gradient| gradient.usual());
        let held = usual.unwrap_or(self.max_wait.max(SOME_TIME));
        let refused = self.refused.fetch_add(1, Ordering::Relaxed);
        held.saturating_mul(u32::try_from(refused + 1).unwrap_or(u32::MAX))
    }

    /// Why a call finds no room here.
    pub(super) fn reason(&self) -> Reason {
        match self.is_adaptive() {
            true => Reason::Overload,
            false => Reason::TooManyCalls,
        }
    }

    /// Takes room, if there is some.
    fn try_take(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let take = |in_flight| (in_flight < limit).then_some(in_flight + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    }

    /// The permit for room that was taken.
    fn permit(self: &Arc<Self>) -> Permit {
        if self.refused.load(Ordering::Relaxed) != 0 {
            self.refused.store(0, Ordering::Relaxed);
        }
        Permit {
            gate: Arc::clone(self),
            began: self.is_adaptive().then(Instant::now),
        }
    }

    /// Gives what room there is to those that wait.
    fn hand_over(self: &Arc<Self>) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut line = self.line();
        let mut permit: Option<Permit> = None;
        while line.len() > 0 {
            let next = match permit.take() {
                Some(permit) => permit,
                None if self.try_take() => self.permit(),
                None => break,
            };
            match line.next() {
                // Who waits no longer leaves the permit for the next.
                Some(turn) => permit = turn.send(next).err(),
                None => permit = Some(next),
            }
        }
        self.waiting.store(line.len(), Ordering::SeqCst);
        drop(line);
        // Its end looks at the line again.
        drop(permit);
    }

    fn leave(&self, number: Number) {
        let mut line = self.line();
        line.leave(number);
        self.waiting.store(line.len(), Ordering::SeqCst);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gradient(&self) -> Option<MutexGuard<'_, Gradient>> {
        let gradient = self.gradient.as_ref()?;
        Some(gradient.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// Room in a gate, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    /// When it was given, where that matters.
    began: Option<Instant>,
}

impl Permit {
    /// Whether its gate wants to know how long its call takes.
    pub(super) fn is_measured(&self) -> bool {
        self.began.is_some()
    }

    /// Tells the gate how long its call took, without the time that its request took to come in.
    pub(super) fn measure(&self, uploading: Duration, ended: Code) {
        let (Some(began), Some(mut gradient)) = (self.began, self.gate.gradient()) else {
            return;
        };
        let latency = began.elapsed().saturating_sub(uploading);
        // What failed fast says nothing, nor does what its caller gave up soon.
        if ended != Code::Ok && gradient.usual().is_none_or(|usual| latency <= usual) {
            return;
        }
        gradient.sample(Sample {
            began,
            latency,
            in_flight: self.gate.in_flight.load(Ordering::SeqCst),
            given_up: matches!(ended, Code::Cancelled | Code::DeadlineExceeded),
        });
        self.gate.limit.store(gradient.limit(), Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.gate.hand_over();
    }
}

/// A place in a gate's line, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    number: Number,
    turn: oneshot::Receiver<Permit>,
    until: Instant,
}

impl Ticket {
    /// Waits for the call's turn; `None` once it has waited for too long.
    pub(super) async fn turn(&mut self) -> Option<Permit> {
        let turn = tokio::time::timeout_at(self.until, &mut self.turn).await;
        turn.ok()?.ok()
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.leave(self.number);
    }
}
