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

/// A limit by the name of its setting, and what it was set for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Limit {
    pub(super) setting: &'static str,
    /// The method or the service; none is the server as a whole.
    pub(super) of: Option<Arc<str>>,
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
        match self.lock().entry(limit.clone()) {
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
            is_over: false,
        };
        tokio::spawn(telling.until_quiet());
    }

    /// Tells of all that has not been told.
    pub(super) fn tell_all(&self) {
        let mut all = self.lock();
        let untold: Vec<_> = all
            .iter_mut()
            .map(|(limit, untold)| (limit.clone(), std::mem::take(untold)))
            .collect();
        drop(all);
        for (limit, untold) in untold {
            limit.tell(untold);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Limit, Untold>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of one limit for as long as it refuses.
struct Telling {
    refusals: Arc<Refusals>,
    limit: Limit,
    /// What the limit refuses next is told by another.
    is_over: bool,
}

impl Telling {
    async fn until_quiet(mut self) {
        let end = self.refusals.end.clone();
        while !self.is_over {
            let waited = end.run_until_cancelled(tokio::time::sleep(INTERVAL));
            if waited.await.is_none() {
                return;
            }
            self.tell();
        }
    }

    /// Tells of what was refused since the last time. Where that is nothing, this is over.
    fn tell(&mut self) {
        let mut all = self.refusals.lock();
        let untold = all.remove(&self.limit).unwrap_or_default();
        self.is_over = untold.last.is_none();
        if !self.is_over {
            all.insert(self.limit.clone(), Untold::default());
        }
        drop(all);
        self.limit.tell(untold);
    }
}

/// The server ends, or its runtime before it: what has not been told is told now.
impl Drop for Telling {
    fn drop(&mut self) {
        if !self.is_over {
            let untold = self.refusals.lock().remove(&self.limit);
            self.limit.tell(untold.unwrap_or_default());
        }
    }
}

impl Limit {
    /// What it was set for.
    pub(super) fn of(&self) -> &str {
        self.of.as_deref().unwrap_or("server")
    }

    fn tell(&self, untold: Untold) {
        if let Some(last) = untold.last {
            self.warn(untold.count, &last);
        }
    }

    /// Tells how many were refused since this was told last: in no call's span, since it is of all.
    fn warn(&self, refused: u64, last: &Refused) {
        match last {
            Refused::Call(path) => tracing::warn!(
                target: "wireloom",
                parent: None,
                limit = self.setting,
                limit_of = self.of(),
                refused,
                method = path.as_ref().map(|path| path.path().trim_start_matches('/')),
                "calls are refused"
            ),
            Refused::Connection(peer) => tracing::warn!(
                target: "wireloom",
                parent: None,
                limit = self.setting,
                limit_of = self.of(),
                refused,
                ?peer,
                "connections are refused"
            ),
        }
    }
}
