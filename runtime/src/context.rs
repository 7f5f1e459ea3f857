//! What a handler's calls inherit: the deadline, the trace and the cancellation of the call being served.

use std::{future::Future, sync::OnceLock};

use tokio::task::futures::TaskLocalFuture;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{deadline::Deadline, trace::TraceContext};

tokio::task_local! {
    static CONTEXT: Context;
}

/// The call that the current task serves: what calls made here inherit with no user code.
///
/// The server sets it around each handler and around the streams that a handler returns. It is task-local: work moved
/// to another task by [`spawn`] keeps it, by `tokio::spawn` loses it.
///
/// Outside a handler it is empty: no deadline, no trace, no cancellation.
#[derive(Debug, Default)]
pub struct Context {
    deadline: Option<Deadline>,
    trace: Option<TraceContext>,
    /// Of a call: made once somebody asks, as few handlers do.
    cancellation: Option<OnceLock<CancellationToken>>,
}

impl Clone for Context {
    fn clone(&self) -> Self {
        Self {
            deadline: self.deadline,
            trace: self.trace.clone(),
            // A copy is told what the original is.
            cancellation: self.cancellation().cloned().map(OnceLock::from),
        }
    }
}

impl Context {
    /// The context of the current task.
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }

    pub(crate) fn of_call(deadline: Option<Deadline>, trace: TraceContext) -> Self {
        Self {
            deadline,
            trace: Some(trace),
            cancellation: Some(OnceLock::new()),
        }
    }

    /// The deadline of the call being served, if its caller set one.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The trace that the call being served belongs to.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// A token that fires when the call being served ends without its answer: its caller went away, its deadline
    /// passed, or the server cut it off at shutdown. It does not fire when the handler answers.
    ///
    /// The handler itself is dropped at that moment; the token is for work it moved to other tasks. Outside a
    /// handler, the token never fires.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.cancellation().cloned().unwrap_or_default()
    }

    pub(crate) fn cancellation(&self) -> Option<&CancellationToken> {
        let token = self.cancellation.as_ref()?;
        Some(token.get_or_init(CancellationToken::new))
    }

    /// Tells all who asked that the call ended without its answer.
    pub(crate) fn cancel(&self) {
        if let Some(token) = self.cancellation.as_ref().and_then(OnceLock::get) {
            token.cancel();
        }
    }

    /// Runs `future` with this context as the current one.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CONTEXT.scope(self, future)
    }

    /// The same, with a way back to the context.
    pub(crate) fn scope_of_call<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CONTEXT.scope(self, future)
    }
}

/// Spawns `future` on tokio with the current [`Context`] and tracing span: calls it makes inherit the deadline, the
/// trace and the cancellation of the call being served.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let audit = wireloom::spawn(async { wireloom::Context::current().deadline() });
/// assert_eq!(audit.await.unwrap(), None);
/// # }
/// ```
///
/// # Panics
///
/// Outside a tokio runtime, as `tokio::spawn` does.
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(Context::current().scope(future).in_current_span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_calls_context_are_told_that_it_was_cancelled() {
        let context = Context::of_call(None, TraceContext::root());
        let token = context.clone().cancellation_token();
        let later = context.cancellation_token();
        assert!(!token.is_cancelled());
        context.cancel();
        assert!(token.is_cancelled() && later.is_cancelled());
    }
}
