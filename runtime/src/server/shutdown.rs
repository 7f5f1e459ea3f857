//! The phases of a shutdown: draining, cut-off, closed.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;

use super::{Shutdown, lifetime::Ends};

/// How long cut-off calls' last frames may take to leave before their connections are closed.
pub(super) const FLUSH_TIME: Duration = Duration::from_millis(250);

/// How long closed connections and their threads may take to end, which is a moment unless a handler blocks them.
const END_TIME: Duration = Duration::from_secs(1);

/// Waits for the end of what is to end now, but not for what is blocked.
pub(super) async fn ended<F: Future>(ends: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(END_TIME, ends).await
}

/// Which phase of its shutdown a server has reached; each is a token that fires.
#[derive(Debug, Default)]
pub(super) struct Phases {
    draining: CancellationToken,
    cut_off: CancellationToken,
    closed: CancellationToken,
}

impl Phases {
    /// Peers are told to go away; calls go on.
    pub(super) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Calls end, with UNAVAILABLE.
    pub(super) fn cut_off(&self) -> &CancellationToken {
        &self.cut_off
    }

    /// Connections end, whatever they still have to say.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// When calls end that are of no connection of this server.
    pub(super) fn ends(&self) -> Ends {
        Ends {
            draining: Arc::new(self.draining()),
            cut_off: Arc::new(self.cut_off.clone()),
        }
    }

    /// Ends all calls and connections now.
    pub(super) fn end(&self) {
        self.cut_off.cancel();
        self.closed.cancel();
    }

    /// Goes through the phases until `drained`, which waits for all connections, is ready. Calls are cut off after
    /// `timeout`, or once `cut_off` is ready.
    pub(super) async fn run(
        &self,
        timeout: Duration,
        cut_off: impl Future<Output = ()>,
        drained: impl Future<Output = ()>,
        calls_left: impl Fn() -> usize,
    ) -> Shutdown {
        tokio::pin!(drained);
        self.draining.cancel();
        tokio::select! {
            () = &mut drained => return Shutdown { cut_off_calls: 0 },
            () = tokio::time::sleep(timeout) => {}
            () = cut_off => {}
        }
        let cut_off_calls = calls_left();
        self.cut_off.cancel();
        if tokio::time::timeout(FLUSH_TIME, &mut drained)
            .await
            .is_err()
        {
            self.closed.cancel();
            // Where it blocks its thread, a handler would hold its connection up for as long as it likes.
            if ended(drained).await.is_err() {
                tracing::warn!(target: "wireloom", "handlers that block their threads outlive the server");
            }
        }
        Shutdown { cut_off_calls }
    }
}
