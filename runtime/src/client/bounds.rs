//! What ends a call from this side: its deadline, and the cancellation of the call that made it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll},
};

use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use crate::{deadline::Deadline, status};

/// The bounds of one call, from before its first attempt to the end of its response.
#[derive(Default)]
pub(crate) struct Bounds {
    deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Bounds {
    pub(crate) fn new(
        deadline: Option<Deadline>,
        cancellation: Option<&CancellationToken>,
    ) -> Self {
        Self {
            deadline: deadline.map(|deadline| {
                (
                    deadline,
                    Box::pin(tokio::time::sleep_until(deadline.instant())),
                )
            }),
            cancelled: cancellation.map(|token| Box::pin(token.clone().cancelled_owned())),
        }
    }

    /// Runs `future` within the bounds; dropping it is what resets its streams.
    pub(crate) async fn run<T>(
        &mut self,
        future: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|status| self.judge(status))),
            Poll::Pending => self.poll_end(cx).map(Err),
        })
        .await
    }

    /// Ready once the call has to end, with the status that it ends with.
    pub(crate) fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        if let Some((_, sleep)) = &mut self.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(status::deadline_exceeded());
        }
        if let Some(cancelled) = &mut self.cancelled
            && cancelled.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Status::cancelled(
                "the call that made this call was cancelled",
            ));
        }
        Poll::Pending
    }

    /// What a failure means within the bounds: a server whose clock is ahead resets the stream when the deadline
    /// passes, and that is DEADLINE_EXCEEDED, never CANCELLED.
    pub(crate) fn judge(&self, status: Status) -> Status {
        match &self.deadline {
            Some((deadline, _)) if status.code() == Code::Cancelled && deadline.is_expired() => {
                status::deadline_exceeded()
            }
            _ => status,
        }
    }
}
