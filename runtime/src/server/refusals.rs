//! Warns of what a server refuses for its limits, once in a while: under overload there may be thousands of calls in a second.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::uri::PathAndQuery;
use tokio_util::sync::CancellationToken;

use super::listener::PeerAddr;

/// One warning of a limit in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// What each limit has refused since it was told of last. One without an entry has refused nothing for a while: what it refuses
/// next is told at once.
#[derive(Debug)]
pub(super) struct Refusals {
    untold: Mutex<BTreeMap<Limit, Untold>>,
    /// Fires when the server ends: there is no next time then.
    end: CancellationToken,
}

/// A limit by the name of its setting, and whose it is: `server` or `method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Limit {
    pub(super) setting: &'static str,
    pub(super) of: &'static str,
}

#[derive(Debug, Default)]
struct Untold {
    count: u64,
    last: Option<Refused>,
}

/// What is refused.
#[derive(Debug)]
pub(super) enum Refused {
    Call(Option<PathAndQuery>),
    Connection(PeerAddr),
}

impl Refusals {
    pub(super) fn new(end: CancellationToken) -> Self {
        Self {
            untold: Mutex::default(),
            end,
        }
    }

    /// Counts what `limit` refuses, and warns of it: now, or together with more of it.
    pub(super) fn count(self: &Arc<Self>, limit: Limit, refused: Refused) {
        match self.lock().entry(limit) {
            Entry::Occupied(mut untold) => {
                let untold = untold.get_mut();
                untold.count += 1;
                untold.last = Some(refused);
                return;
            }
            Entry::Vacant(none) => _ = none.insert(Untold::default()),
        }
        limit.warn(1, &refused);
        let telling = Telling {
            refusals: Arc::clone(self),
            limit,
        };
        tokio::spawn(telling.until_quiet());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Limit, Untold>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of one limit for as long as it refuses.
struct Telling {
    refusals: Arc<Refusals>,
    limit: Limit,
}

impl Telling {
    async fn until_quiet(self) {
        let end = self.refusals.end.clone();
        loop {
            let is_over = end.run_until_cancelled(tokio::time::sleep(INTERVAL));
            let is_over = is_over.await.is_none();
            let untold = self.take();
            if let Some(last) = &untold.last {
                self.limit.warn(untold.count, last);
            }
            if is_over || untold.last.is_none() {
                return;
            }
        }
    }

    fn take(&self) -> Untold {
        let mut untold = self.refusals.lock();
        untold
            .get_mut(&self.limit)
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

/// Though its runtime may end before the server.
impl Drop for Telling {
    fn drop(&mut self) {
        self.refusals.lock().remove(&self.limit);
    }
}

impl Limit {
    /// Tells how many were refused since this was told last.
    fn warn(self, refused: u64, last: &Refused) {
        let Self { setting, of } = self;
        match last {
            Refused::Call(path) => tracing::warn!(
                target: "wireloom",
                limit = setting,
                limit_of = of,
                refused,
                method = path.as_ref().map(|path| path.path().trim_start_matches('/')),
                "calls are refused"
            ),
            Refused::Connection(peer) => tracing::warn!(
                target: "wireloom",
                limit = setting,
                limit_of = of,
                refused,
                ?peer,
                "connections are refused"
            ),
        }
    }
}
