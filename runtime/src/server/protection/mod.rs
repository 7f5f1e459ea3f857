//! What a connection may cost: a peer that sends what is cheap to send and dear to receive is told to calm down, and cut
//! off.
//!
//! The `h2` crate bounds by itself what a peer can make it keep: header lists, CONTINUATION frames, small and empty DATA
//! frames, streams, errors in streams. What it does not count is here: frames that ask for an answer and carry no call
//! ([`FrameGuard`]), calls that are reset as soon as they are made ([`Resets`]), streams that are refused
//! ([`Unserved`](unserved::Unserved)), responses that nobody reads ([`Unsent`]), connections ([`ConnectionPlaces`]), and how long those take
//! to begin to speak ([`Greeting`](greeting::Greeting)) and take nothing of what is written to them ([`Patient`]).

mod alarm;
mod budget;
mod frame_guard;
mod frames;
mod greeting;
mod options;
mod patience;
mod places;
mod resets;
mod unsent;
mod unserved;

use std::{sync::Arc, time::Duration};

use tonic::Code;

pub use self::budget::Budget;
use self::{
    alarm::Alarm,
    resets::{Cause, Resets},
};
pub(super) use self::{
    alarm::Flood,
    frame_guard::FrameGuard,
    options::ProtectionLimits,
    patience::Patient,
    places::{ConnectionPlace, ConnectionPlaces},
    unsent::{LEAST_COUNTED, Room, Unsent},
};
use super::{
    ended::Ended,
    ending::{Ending, ending_code},
};

/// A call that is reset sooner was hardly served.
const SOON: Duration = Duration::from_millis(10);

/// What the calls of a connection share: how many of them were reset, how the connection is told that it were too many, and
/// what of their responses has not left.
pub(super) struct Protection {
    alarm: Arc<Alarm>,
    resets: Resets,
    unsent: Arc<Unsent>,
}

impl Protection {
    pub(super) fn new(limits: &ProtectionLimits, max_concurrent_streams: u32) -> Self {
        let resets = limits.resets;
        let resets = resets.unwrap_or_else(|| Resets::budget(max_concurrent_streams));
        Self {
            alarm: Arc::default(),
            resets: Resets::new(resets),
            unsent: Arc::new(Unsent::new(limits.max_unsent_bytes)),
        }
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    pub(super) fn unsent(&self) -> &Arc<Unsent> {
        &self.unsent
    }

    /// Counts a call that has ended.
    pub(super) fn ended(&self, ended: &Ended, ending: &Ending) {
        match ended {
            Ended::Ok | Ended::Answered(_) => self.answered(),
            // It was reset before it was answered: its handler did not wait, and so nobody looked.
            Ended::Unheard(_) => self.reset(ending_code(ending.deadline()), Duration::ZERO),
            Ended::Reset(status) => self.reset(status.code(), ending.waited()),
            // Its caller waited until then.
            Ended::Early(_) => {}
        }
    }

    /// Counts a request whose peer was answered.
    pub(super) fn answered(&self) {
        self.resets.earn();
    }

    /// Counts one that ended before that, with `code`, after it had `waited`.
    pub(super) fn reset(&self, code: Code, waited: Duration) {
        let cause = match code {
            Code::DeadlineExceeded => Cause::DeadlinePassed,
            _ if waited >= SOON => Cause::CancelledLate,
            _ => Cause::Cancelled,
        };
        if !self.resets.spend(cause) {
            self.alarm.raise(Flood::Resets);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tonic::Status;

    use super::*;

    /// What becomes of a connection whose caller cancels so many calls, each after so long.
    async fn cancel(calls: usize, after: Duration) -> Option<Flood> {
        let protection = Protection::new(&ProtectionLimits::default(), 100);
        let mut ending = Ending::new(None, Arc::default());
        let waits = ending.poll_end(&mut Context::from_waker(Waker::noop()), |_| Poll::Pending);
        assert!(waits.is_pending());
        tokio::time::advance(after).await;
        let ended = Ended::Reset(Status::cancelled(""));
        (0..calls).for_each(|_| protection.ended(&ended, &ending));
        protection.alarm.flood()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cancelled_after_a_while_is_bounded_more_loosely() {
        assert_eq!(cancel(2000, Duration::ZERO).await, Some(Flood::Resets));
        assert_eq!(cancel(10_000, SOON).await, None);
        assert_eq!(cancel(20_000, SOON).await, Some(Flood::Resets));
    }
}
