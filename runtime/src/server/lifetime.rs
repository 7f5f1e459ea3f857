//! How long a connection lasts: its age and its idle time ([gRFC A9]), pings that find out whether its peer still lives, and
//! how it drains.
//!
//! [gRFC A9]: https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md

mod options;
#[cfg(test)]
mod tests;

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(super) use self::options::LifetimeLimits;
use super::{
    listener::PeerAddr,
    shutdown::{FLUSH_TIME, Phases},
};
use crate::heard::Heard;

/// By how much of itself the age at which a connection drains is less or more (gRFC A9), so that connections that were made
/// together do not end together.
const JITTER: f64 = 0.1;

/// A peer that is told to go away has this long to say that it heard: after that it begins no call, and is left once it has had
/// none for as long. grpc-go waits as long.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// No peer is pinged more often.
const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(1);

/// What a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell its peer to go away, and let calls end.
    Drain,
    /// Tell its peer, which has no call left and does not say that it heard, which calls were heard of, and end.
    Leave,
    /// End, whatever there still is to say.
    Close,
}

/// When the calls of a connection are to end. Shared, as each call has it, and a clone of a token takes a lock.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) draining: Arc<CancellationToken>,
    pub(super) cut_off: Arc<CancellationToken>,
}

impl Ends {
    /// When a call ends at the latest.
    pub(super) fn of_call(&self, is_watcher: bool) -> &Arc<CancellationToken> {
        // Who watches the server itself is no reason to go on.
        match is_watcher {
            true => &self.draining,
            false => &self.cut_off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Draining {
        since: Instant,
        /// Unless that is up to the server.
        cut_off_at: Option<Instant>,
    },
    CutOff {
        close_at: Instant,
    },
}

/// Says when a connection drains and when it ends, its peer's wishes apart.
pub(super) struct Lifetime {
    limits: LifetimeLimits,
    peer: PeerAddr,
    ends: Ends,
    drains: Pin<Box<WaitForCancellationFutureOwned>>,
    stage: Stage,
    max_age_at: Option<Instant>,
    /// Since when there is no call; `None` while there is one, or nobody wants to know.
    idle_since: Option<Instant>,
    keepalive: Option<Keepalive>,
    /// When there may be something to do next.
    next_look: Option<Pin<Box<Sleep>>>,
    /// Whom that wakes, once it was asked.
    asked: Option<Waker>,
}

impl Lifetime {
    pub(super) fn new(limits: LifetimeLimits, phases: &Phases, peer: PeerAddr) -> Self {
        let draining = phases.draining().child_token();
        Self {
            limits,
            peer,
            drains: Box::pin(draining.clone().cancelled_owned()),
            ends: Ends {
                draining: Arc::new(draining),
                cut_off: Arc::new(phases.cut_off().child_token()),
            },
            stage: Stage::Open,
            max_age_at: None,
            idle_since: None,
            keepalive: None,
            next_look: None,
            asked: None,
        }
    }

    /// How long the connection may be without a call.
    #[cfg(feature = "http1")]
    pub(super) fn max_idle(&self) -> Duration {
        self.limits.max_idle
    }

    /// Fires once the connection drains.
    pub(super) fn draining(&self) -> &CancellationToken {
        &self.ends.draining
    }

    /// When its calls are to end.
    pub(super) fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The connection is there now; `heard` notes what comes in on it.
    pub(super) fn begin(&mut self, heard: Option<Heard>, pings: Option<PingPong>) {
        let jitter = 1.0 + JITTER * (2.0 * fastrand::f64() - 1.0);
        let max_age = Duration::try_from_secs_f64(self.limits.max_age.as_secs_f64() * jitter);
        self.max_age_at = max_age.ok().and_then(|age| Instant::now().checked_add(age));
        self.keepalive = heard.zip(pings).map(|(heard, pings)| Keepalive {
            pings,
            heard,
            asked: None,
            is_answered: true,
        });
        let now = Instant::now();
        let next = earliest([
            self.max_age_at,
            now.checked_add(self.limits.max_idle),
            now.checked_add(self.keepalive_time()),
        ]);
        self.look_again(next);
    }

    /// Whether a call that comes now is of a peer that does not hear that it is to go away: one that does begins none.
    pub(super) fn is_over(&self) -> bool {
        match self.stage {
            Stage::Open => false,
            Stage::Draining { since, .. } => since.elapsed() >= FAREWELL_TIME,
            Stage::CutOff { .. } => true,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        has_streams: impl FnOnce() -> bool,
    ) -> Poll<Step> {
        if self.stage == Stage::Open && self.drains.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.drain(Instant::now(), None));
        }
        if self.stage != Stage::Open || self.limits.max_idle < Duration::MAX {
            match has_streams() {
                true => self.idle_since = None,
                false => _ = self.idle_since.get_or_insert_with(Instant::now),
            }
        }
        while let Some(look) = &mut self.next_look {
            // Asking a timer again costs more than knowing that it was asked.
            let is_asked = |waker: &Waker| waker.will_wake(cx.waker());
            if !look.is_elapsed() && self.asked.as_ref().is_some_and(is_asked) {
                return Poll::Pending;
            }
            // Though what came in has used up the task's turn: it may do so each time.
            if pin!(unconstrained(look.as_mut())).poll(cx).is_pending() {
                self.asked = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if let Some(step) = self.look(cx, Instant::now()) {
                return Poll::Ready(step);
            }
        }
        Poll::Pending
    }

    /// What is to be done now, if anything; says when to look again.
    fn look(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> Option<Step> {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.stage {
            Stage::Open => {
                // While there are calls, it may be idle for long enough after that time from now, and no earlier.
                let idle_since = self.idle_since.unwrap_or(now);
                let max_idle_at = idle_since.checked_add(self.limits.max_idle);
                let limit = match is_past(self.max_age_at) {
                    true => Some("max_connection_age"),
                    false => is_past(max_idle_at).then_some("max_connection_idle"),
                };
                if let Some(limit) = limit {
                    self.log(limit, "a connection is told to go away");
                    return Some(self.drain(now, Some(self.limits.max_age_grace)));
                }
                let Ok(ping_at) = self.look_for_life(cx, now) else {
                    return Some(self.close_on_silence());
                };
                self.look_again(earliest([self.max_age_at, max_idle_at, ping_at]));
            }
            Stage::Draining { since, cut_off_at } => {
                if is_past(cut_off_at) {
                    self.log(
                        "max_connection_age_grace",
                        "what is left of a connection is cut off",
                    );
                    self.ends.cut_off.cancel();
                    let close_at = now + FLUSH_TIME;
                    self.stage = Stage::CutOff { close_at };
                    self.look_again(Some(close_at));
                    return None;
                }
                // What has streams has until they end; what has none waits for its peer alone.
                let silent_since = self.idle_since.map_or(now, |idle| idle.max(since));
                let farewell_at = Some(silent_since + FAREWELL_TIME);
                if is_past(farewell_at) {
                    return Some(Step::Leave);
                }
                // A grace without a limit is none for a peer that is gone.
                let Ok(ping_at) = self.look_for_life(cx, now) else {
                    return Some(self.close_on_silence());
                };
                self.look_again(earliest([cut_off_at, farewell_at, ping_at]));
            }
            Stage::CutOff { close_at } => {
                if close_at <= now {
                    return Some(Step::Close);
                }
                self.look_again(Some(close_at));
            }
        }
        None
    }

    /// Says when to look for a sign of life of the peer again.
    fn look_for_life(
        &mut self,
        cx: &mut TaskContext<'_>,
        now: Instant,
    ) -> Result<Option<Instant>, Silent> {
        let (time, timeout) = (self.keepalive_time(), self.limits.keepalive_timeout);
        match &mut self.keepalive {
            Some(keepalive) => keepalive.look(cx, now, time, timeout),
            None => Ok(None),
        }
    }

    fn close_on_silence(&self) -> Step {
        self.log(
            "keepalive_timeout",
            "a connection is closed: its peer does not answer",
        );
        Step::Close
    }

    /// Tells who looks at the log in detail by which setting the connection ends.
    fn log(&self, limit: &str, what: &str) {
        tracing::debug!(target: "wireloom", peer = ?self.peer, limit, "{what}");
    }

    fn drain(&mut self, now: Instant, grace: Option<Duration>) -> Step {
        self.ends.draining.cancel();
        let cut_off_at = grace.and_then(|grace| now.checked_add(grace));
        self.stage = Stage::Draining {
            since: now,
            cut_off_at,
        };
        self.look_again(earliest([cut_off_at, Some(now + FAREWELL_TIME)]));
        Step::Drain
    }

    fn keepalive_time(&self) -> Duration {
        self.limits.keepalive_time.max(MIN_KEEPALIVE_TIME)
    }

    fn look_again(&mut self, next: Option<Instant>) {
        self.asked = None;
        match (&mut self.next_look, next) {
            (Some(look), Some(next)) => look.as_mut().reset(next),
            (look, next) => *look = next.map(|next| Box::pin(sleep_until(next))),
        }
    }
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

/// Finds out whether a peer that is silent still lives.
struct Keepalive {
    pings: PingPong,
    heard: Heard,
    /// When it was last pinged, until it has shown a sign of life.
    asked: Option<Instant>,
    /// Whether the last ping was: `h2` has one on the way at a time.
    is_answered: bool,
}

/// The peer does not answer.
struct Silent;

impl Keepalive {
    /// Pings the peer where it has been silent for `time`; says when to look again.
    fn look(
        &mut self,
        cx: &mut TaskContext<'_>,
        now: Instant,
        time: Duration,
        timeout: Duration,
    ) -> Result<Option<Instant>, Silent> {
        let has_ponged = !self.is_answered && self.pings.poll_pong(cx).is_ready();
        self.is_answered |= has_ponged;
        if let Some(asked) = self.asked {
            // Whatever comes in is a sign of life.
            if !has_ponged && self.heard.last() <= asked {
                let at_the_latest = asked.checked_add(timeout);
                let is_over = at_the_latest.is_some_and(|at| at <= now);
                return if is_over {
                    Err(Silent)
                } else {
                    Ok(at_the_latest)
                };
            }
            self.asked = None;
        }
        let ping_at = self.heard.last().checked_add(time);
        if ping_at.is_none_or(|at| at > now) {
            return Ok(ping_at);
        }
        if self.is_answered {
            // It fails where the connection has ended, as its driver finds out.
            self.is_answered = self.pings.send_ping(Ping::opaque()).is_err();
        }
        self.asked = Some(now);
        Ok(now.checked_add(timeout))
    }
}
