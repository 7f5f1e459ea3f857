//! What stands between a handler and the rest of the server: its panics end its call alone, and a thread that it blocks is
//! reported.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use http::uri::PathAndQuery;
use tonic::Status;

use super::{
    ending::End,
    watchdog::{Watched, watched},
};
use crate::metrics::ServedMeter;

/// Guards the server from the handler of one call.
pub(super) struct Guard {
    handler: Option<Watched>,
}

impl Guard {
    /// A handler that is polled for longer than `threshold` is reported; [`Duration::MAX`] is never.
    pub(super) fn of(path: Option<PathAndQuery>, threshold: Duration, meter: ServedMeter) -> Self {
        let handler = Watched {
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            threshold,
            meter,
        };
        Self {
            handler: Some(handler),
        }
    }

    /// The method that is served, while its handler is not polled.
    pub(super) fn method(&self) -> Option<&str> {
        self.handler.as_ref().map(Watched::method)
    }

    /// Polls what a handler wrote: its panic ends this call, and no other.
    pub(super) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, End>> {
        // What a panic leaves half done is dropped with the call.
        let polled = watched(&mut self.handler, || catch_unwind(AssertUnwindSafe(poll)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(self.end_of(&*panic))),
        }
    }

    /// Tells observers by `tell`, of which that holds as well; they are too quick to be watched.
    pub(super) fn tell(&self, tell: impl FnOnce()) -> Result<(), End> {
        catch_unwind(AssertUnwindSafe(tell)).map_err(|panic| self.end_of(&*panic))
    }

    /// What a panic ends its call with.
    fn end_of(&self, panic: &(dyn Any + Send)) -> End {
        self.tell_of(panic);
        // What it said is for the log alone: it may tell of what is no business of the caller's.
        End::Status(Status::internal("the handler panicked"))
    }

    /// Drops by `drop` what a handler wrote, before its end or behind it: what the call ends with stays as it is.
    pub(super) fn drop(&mut self, drop: impl FnOnce()) {
        let _ = self.poll(|| {
            drop();
            Poll::Ready(())
        });
    }

    /// Within the call's span, which this marks.
    fn tell_of(&self, panic: &(dyn Any + Send)) {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(
            target: "wireloom",
            method = self.method(),
            "exception.type" = "panic",
            "exception.message" = message,
            "a handler panicked"
        );
        if let Some(handler) = &self.handler {
            handler.meter.panicked();
        }
    }
}
