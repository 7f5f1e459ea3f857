//! Attempts beside each other: what a hedging policy asks for.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::{
    AttemptNumber, AttemptRules,
    failure::{Failure, Reach},
    payload::Payload,
    pushback::Pushback,
};
use crate::{policy::HedgingPolicy, status};

const FIRST: AttemptNumber = AttemptNumber {
    index: 0,
    previous_attempts: 0,
    transparent: false,
};

/// Makes attempts until one has response headers or a fatal status, or all have failed. What is left is dropped, which
/// resets its streams.
pub(crate) async fn run<T, F>(
    policy: HedgingPolicy,
    rules: &AttemptRules,
    payload: &Payload,
    attempt: impl Fn(AttemptNumber) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Failure>>,
{
    // Part of the call's own future, as the timer is: most calls make one attempt.
    let first = pin!(None);
    let next = pin!(tokio::time::sleep_until(Instant::now()));
    let mut hedges = Hedges {
        max_attempts: policy.max_attempts.min(rules.limits.max_attempts),
        policy,
        rules,
        first,
        further: Vec::new(),
        sent: 0,
        made: 0,
        refused_before: false,
        next,
        stopped: false,
        failed: None,
    };
    hedges.send_next(&attempt);
    poll_fn(|cx| hedges.poll(cx, payload, &attempt)).await
}

struct Hedges<'a, F> {
    policy: HedgingPolicy,
    max_attempts: u32,
    rules: &'a AttemptRules,
    /// The first attempt, while it runs.
    first: Pin<&'a mut Option<F>>,
    further: Vec<Running<F>>,
    /// How many attempts were made, transparent ones apart.
    sent: u32,
    /// How many were made, transparent ones included.
    made: usize,
    refused_before: bool,
    /// When the next hedge is due.
    next: Pin<&'a mut Sleep>,
    /// No further hedge is sent: a server said so.
    stopped: bool,
    /// How the last attempt that failed did.
    failed: Option<Status>,
}

/// An attempt after the first.
struct Running<F> {
    number: AttemptNumber,
    attempt: Pin<Box<F>>,
}

impl<T, F> Hedges<'_, F>
where
    F: Future<Output = Result<T, Failure>>,
{
    /// Sends one more attempt; the delay to the one after it begins.
    fn send_next(&mut self, attempt: &impl Fn(AttemptNumber) -> F) {
        self.send(attempt, self.sent, false);
        self.sent += 1;
        self.schedule(self.policy.hedging_delay);
    }

    fn send(
        &mut self,
        attempt: &impl Fn(AttemptNumber) -> F,
        previous_attempts: u32,
        transparent: bool,
    ) {
        let number = AttemptNumber {
            index: self.made,
            previous_attempts,
            transparent,
        };
        self.made += 1;
        let attempt = attempt(number);
        if number.index == FIRST.index {
            self.first.set(Some(attempt));
        } else {
            self.further.push(Running {
                number,
                attempt: Box::pin(attempt),
            });
        }
    }

    fn schedule(&mut self, delay: Duration) {
        let now = Instant::now();
        // A delay beyond the clock's end is one that never ends: an hour stands for it, and is then looked at again.
        let due = now
            .checked_add(delay)
            .unwrap_or(now + Duration::from_secs(3600));
        self.next.as_mut().reset(due);
    }

    /// Whether one more attempt may be sent at all.
    fn may_send(&self, payload: &Payload) -> bool {
        !self.stopped
            && self.sent < self.max_attempts
            && self.rules.allow_more()
            && payload.can_replay()
    }

    fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        payload: &Payload,
        attempt: &impl Fn(AttemptNumber) -> F,
    ) -> Poll<Result<T, Status>> {
        loop {
            if let Poll::Ready(winner) = payload.poll_winner(cx) {
                self.retain(winner);
            }
            match self.poll_running(cx) {
                Some((_, Ok(answer))) => return Poll::Ready(Ok(answer)),
                Some((number, Err(failure))) => {
                    if let Some(fatal) = self.after_failure(number, failure, payload, attempt) {
                        return Poll::Ready(Err(fatal));
                    }
                }
                None if self.may_send(payload) && self.next.as_mut().poll(cx).is_ready() => {
                    self.send_next(attempt);
                }
                None if self.none_runs() && !self.may_send(payload) => {
                    // All have failed, or the next hedge may not be sent any more now that it is due.
                    return Poll::Ready(Err(self.last_failure()));
                }
                None => return Poll::Pending,
            }
        }
    }

    /// An attempt that has ended, which leaves the running ones.
    fn poll_running(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Option<(AttemptNumber, Result<T, Failure>)> {
        if let Some(first) = self.first.as_mut().as_pin_mut()
            && let Poll::Ready(ended) = first.poll(cx)
        {
            self.first.set(None);
            return Some((FIRST, ended));
        }
        let mut further = self.further.iter_mut().enumerate();
        let (index, ended) =
            further.find_map(|(index, running)| match running.attempt.as_mut().poll(cx) {
                Poll::Ready(ended) => Some((index, ended)),
                Poll::Pending => None,
            })?;
        Some((self.further.remove(index).number, ended))
    }

    /// Drops all attempts but the one of that index.
    fn retain(&mut self, winner: usize) {
        if winner != FIRST.index {
            self.first.set(None);
        }
        self.further
            .retain(|running| running.number.index == winner);
    }

    fn none_runs(&self) -> bool {
        self.first.is_none() && self.further.is_empty()
    }

    /// Sends or schedules what a failed attempt calls for; gives its status where that ends the call.
    fn after_failure(
        &mut self,
        number: AttemptNumber,
        failure: Failure,
        payload: &Payload,
        attempt: &impl Fn(AttemptNumber) -> F,
    ) -> Option<Status> {
        let Failure {
            reach,
            status: failed,
        } = failure;
        let resend = match reach {
            Reach::NeverSent => true,
            Reach::Refused => !std::mem::replace(&mut self.refused_before, true),
            Reach::Nowhere | Reach::Unknown => false,
        };
        if resend && payload.can_resend() {
            self.send(attempt, number.previous_attempts, true);
            return None;
        }
        let pushback = Pushback::of(&failed);
        let fatal =
            reach == Reach::Nowhere || !self.policy.non_fatal_status_codes.contains(failed.code());
        if !fatal || pushback == Pushback::Stop {
            self.rules.record_failure();
        }
        if fatal {
            return Some(failed);
        }
        match pushback {
            Pushback::None => self.schedule(Duration::ZERO),
            Pushback::After(delay) => self.schedule(delay),
            Pushback::Stop => self.stopped = true,
        }
        self.failed = Some(failed);
        None
    }

    /// The call's status when all attempts have failed.
    fn last_failure(&mut self) -> Status {
        let failed = self.failed.take();
        let failed = failed.unwrap_or_else(|| Status::internal("no attempt was made"));
        match self.sent {
            1 => failed,
            attempts => status::after_attempts(&failed, attempts),
        }
    }
}
