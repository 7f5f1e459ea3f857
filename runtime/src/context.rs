//! What a handler's calls inherit: the deadline, the trace and the cancellation of the call being served.

use std::future::Future;

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
#[derive(Clone, Debug, Default)]
pub struct Context {
    deadline: Option<Deadline>,
    trace: Option<TraceContext>,
    cancellation: Option<CancellationToken>,
}

impl Context {
    /// The context of the current task.
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }

    pub(crate) fn of_call(
        deadline: Option<Deadline>,
        trace: TraceContext,
        cancellation: CancellationToken,
    ) -> Self {
        Self {
            deadline,
            trace: Some(trace),
            cancellation: Some(cancellation),
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
        self.cancellation.clone().unwrap_or_default()
    }

    pub(crate) fn cancellation(&self) -> Option<&CancellationToken> {
        self.cancellation.as_ref()
    }

    /// Runs `future` with this context as the current one.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
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
