//! What ends a call before its handler does.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use h2::Reason;
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use crate::{deadline::Deadline, status};

/// A caller's deadline passes at the caller first: a reset this close to it is that, and not a cancellation.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// What ends a call before its handler does: its deadline, its caller, the server's shutdown.
pub(super) struct Ending {
    deadline: Option<Deadline>,
    cut_off: Arc<CancellationToken>,
    /// Once the call has had to wait: most handlers answer at once.
    watched: Option<Watched>,
}

struct Watched {
    since: Instant,
    deadline: Option<Pin<Box<Sleep>>>,
    cut_off: Pin<Box<WaitForCancellationFutureOwned>>,
}

pub(super) enum End {
    /// The caller reset the stream: there is nobody to answer.
    Reset(Code),
    /// The caller is told why.
    Status(Status),
}

impl Ending {
    pub(super) fn new(deadline: Option<Deadline>, cut_off: Arc<CancellationToken>) -> Self {
        Self {
            deadline,
            cut_off,
            watched: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// How long the call has been waiting.
    pub(super) fn waited(&self) -> Duration {
        let watched = self.watched.as_ref();
        watched.map_or(Duration::ZERO, |watched| watched.since.elapsed())
    }

    pub(super) fn poll_end(
        &mut self,
        cx: &mut TaskContext<'_>,
        mut poll_reset: impl FnMut(&mut TaskContext<'_>) -> Poll<Result<Reason, h2::Error>>,
    ) -> Poll<End> {
        let Self {
            deadline,
            cut_off,
            watched,
        } = self;
        let watched = watched.get_or_insert_with(|| Watched {
            since: Instant::now(),
            deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at.instant()))),
            cut_off: Box::pin(CancellationToken::clone(cut_off).cancelled_owned()),
        });
        // Though the handler has used up its turn, and this comes behind it: it may do so each time.
        if let Some(sleep) = &mut watched.deadline
            && pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready()
        {
            return Poll::Ready(End::Status(status::deadline_exceeded()));
        }
        if watched.cut_off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Status(Status::unavailable(
                "the server is shutting down, or ends this connection",
            )));
        }
        poll_reset(cx).map(|_| End::Reset(ending_code(self.deadline())))
    }
}

/// Whether that is what a call ends with which the server cuts off.
pub(super) fn is_cut_off(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// What a reset by the caller means.
pub(super) fn ending_code(deadline: Option<Deadline>) -> Code {
    match deadline {
        Some(deadline) if deadline.remaining() <= CLOCK_SLACK => Code::DeadlineExceeded,
        _ => Code::Cancelled,
    }
}
