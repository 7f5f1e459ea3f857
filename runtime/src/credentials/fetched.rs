//! A token that is fetched when it is needed, once for all who need it, and kept.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tonic::{Status, metadata::AsciiMetadataValue};

use super::{BearerToken, BoxFuture};
use crate::{policy::Backoff, status};

type Fetch = dyn Fn() -> BoxFuture<'static, Result<BearerToken, Status>> + Send + Sync;

/// A token that is fetched, and what is known of it.
pub(super) struct Fetched {
    fetch: Box<Fetch>,
    state: watch::Sender<State>,
}

struct State {
    token: Option<Kept>,
    failed: Option<Failed>,
    backoff: Backoff,
    fetching: bool,
}

/// A token that is sent.
struct Kept {
    header: AsciiMetadataValue,
    times: Option<Times>,
}

/// When to do something about a token.
#[derive(Clone, Copy)]
struct Times {
    /// From then on, a new one is fetched in the background.
    refresh_at: Instant,
    /// From then on, it is not sent.
    unusable_at: Instant,
}

struct Failed {
    status: Status,
    /// Until then, nothing is fetched.
    retry_at: Instant,
}

const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long before its expiry a token is fetched anew, and how long before it is no longer sent.
const REFRESH_AHEAD: Duration = Duration::from_secs(90);
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);

impl Fetched {
    pub(super) fn by(
        fetch: impl Fn() -> BoxFuture<'static, Result<BearerToken, Status>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            fetch: Box::new(fetch),
            state: watch::Sender::new(State::new()),
        }
    }

    /// The header of a token that is good.
    ///
    /// # Errors
    ///
    /// What the last fetch failed with.
    pub(super) async fn header(self: &Arc<Self>) -> Result<AsciiMetadataValue, Status> {
        let now = Instant::now();
        if self.state.borrow().is_due(now) {
            self.begin_fetch(now);
        }
        let known = self.state.borrow().answer(now);
        if let Some(answer) = known {
            return answer;
        }
        let mut state = self.state.subscribe();
        let fetched = state.wait_for(|state| !state.fetching).await;
        let fetched = fetched.expect("these credentials hold the sender");
        // Looked at with the time that the caller came, so that there is an answer however long the fetch took.
        let answer = fetched.answer(now);
        answer.unwrap_or_else(|| Err(Status::unavailable("the token expired as it was fetched")))
    }

    fn begin_fetch(self: &Arc<Self>, now: Instant) {
        let begins = self.state.send_if_modified(|state| {
            let begins = state.is_due(now);
            state.fetching |= begins;
            begins
        });
        if begins {
            // On a task of its own, beside all calls: whoever came first may go away while others wait.
            // Made here: a runtime that ends before the task's first turn drops it, too.
            let outcome = Outcome {
                of: Arc::clone(self),
                result: None,
            };
            tokio::spawn(Self::fetch(outcome));
        }
    }

    async fn fetch(mut outcome: Outcome) {
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, (outcome.of.fetch)()).await;
        outcome.result = fetched.ok();
    }
}

/// What came of a fetch, told when dropped: so callers go on even where it panicked, or its runtime was shut down.
struct Outcome {
    of: Arc<Fetched>,
    /// `None` where the fetch did not end.
    result: Option<Result<BearerToken, Status>>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| {
            Err(Status::unavailable(format!(
                "the fetch of a token panicked, or did not end within {FETCH_TIMEOUT:?}"
            )))
        });
        self.of
            .state
            .send_modify(|state| state.settle(result, Instant::now()));
    }
}

impl State {
    fn new() -> Self {
        Self {
            token: None,
            failed: None,
            backoff: Backoff::of_connections(),
            fetching: false,
        }
    }

    /// Whether a token is to be fetched.
    fn is_due(&self, now: Instant) -> bool {
        let rests = self
            .failed
            .as_ref()
            .is_some_and(|failed| now < failed.retry_at);
        !self.fetching && !rests && self.token.as_ref().is_none_or(|token| token.is_old(now))
    }

    /// What a call gets; `None` where it has to wait.
    fn answer(&self, now: Instant) -> Option<Result<AsciiMetadataValue, Status>> {
        match (&self.token, &self.failed) {
            (Some(token), _) if token.is_usable(now) => Some(Ok(token.header.clone())),
            (_, Some(failed)) if !self.fetching => Some(Err(status::copy(&failed.status))),
            _ => None,
        }
    }

    fn settle(&mut self, result: Result<BearerToken, Status>, now: Instant) {
        self.fetching = false;
        match result.and_then(|token| Kept::new(&token, now)) {
            Ok(token) => {
                self.token = Some(token);
                self.failed = None;
                self.backoff = Backoff::of_connections();
            }
            Err(status) => {
                tracing::debug!(target: "wireloom", %status, "could not fetch a token");
                let retry_at = now + self.backoff.next_delay(fastrand::f64());
                self.failed = Some(Failed { status, retry_at });
            }
        }
    }
}

impl Kept {
    fn new(token: &BearerToken, now: Instant) -> Result<Self, Status> {
        let header = token.header()?;
        let times = token.expires_at.map(|expires_at| {
            let lifetime = expires_at.saturating_duration_since(now);
            Times {
                refresh_at: expires_at - REFRESH_AHEAD.min(lifetime / 8),
                unusable_at: expires_at - EXPIRY_MARGIN.min(lifetime / 24),
            }
        });
        match times {
            Some(times) if times.unusable_at <= now => Err(Status::unavailable(
                "the token that was fetched has expired already",
            )),
            times => Ok(Self { header, times }),
        }
    }

    fn is_old(&self, now: Instant) -> bool {
        self.times.is_some_and(|times| now >= times.refresh_at)
    }

    fn is_usable(&self, now: Instant) -> bool {
        self.times.is_none_or(|times| now < times.unusable_at)
    }
}
