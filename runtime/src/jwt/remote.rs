//! Keys that are fetched when they are needed, once for all who need them, and kept.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tonic::Status;

use super::{fetch::Fetch, key_set::KeySet, oversized::Oversized};

/// How long after a fetch a token with an unknown key, or a fetch that failed, may lead to the next.
const REST: Duration = Duration::from_secs(10);

pub(super) struct Remote {
    fetch: Fetch,
    interval: Duration,
    state: watch::Sender<State>,
    oversized: Oversized,
}

#[derive(Default)]
struct State {
    keys: Option<Kept>,
    /// When the last fetch began.
    begun_at: Option<Instant>,
    is_fetching: bool,
    /// Why the last fetch failed, where it did.
    failure: Option<String>,
}

struct Kept {
    keys: Arc<KeySet>,
    /// What they were read of, so that the same keys stay the same.
    text: Vec<u8>,
    at: Instant,
}

impl State {
    /// Whether the last fetch is long enough ago for another.
    fn is_rested(&self, now: Instant) -> bool {
        let rested = |begun: Instant| now.saturating_duration_since(begun) >= REST;
        !self.is_fetching && self.begun_at.is_none_or(rested)
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        let kept = self.keys.as_ref()?;
        Some(now.saturating_duration_since(kept.at))
    }
}

impl Remote {
    pub(super) fn new(fetch: Fetch, interval: Duration) -> Self {
        Self {
            fetch,
            interval,
            state: watch::Sender::new(State::default()),
            oversized: Oversized::default(),
        }
    }

    /// The keys, at most twice as old as the interval unless the last fetch failed.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE where there have been none yet.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, Status> {
        let now = Instant::now();
        let (age, is_failing) = {
            let state = self.state.borrow();
            (state.age(now), state.failure.is_some())
        };
        match age {
            Some(age) if age < self.interval => {}
            // They are fetched beside the call. Where they are much older, nobody has called for long: what the issuer took
            // away since is not to be taken.
            Some(age) if is_failing || age < self.interval * 2 => self.begin(now),
            _ => self.fetched(now).await,
        }
        let state = self.state.borrow();
        match (&state.keys, &state.failure) {
            (Some(kept), _) => Ok(Arc::clone(&kept.keys)),
            // The reason is for the log: it may name what callers do not know.
            (None, _) => Err(Status::unavailable(
                "the keys that verify tokens cannot be had at the moment",
            )),
        }
    }

    /// Keys that are newer than those seen, where there are some or may be fetched.
    pub(super) async fn newer_keys(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let newer = |remote: &Self| {
            let state = remote.state.borrow();
            let kept = state.keys.as_ref()?;
            (!Arc::ptr_eq(&kept.keys, seen)).then(|| Arc::clone(&kept.keys))
        };
        if let Some(newer) = newer(self) {
            return Some(newer);
        }
        self.fetched(Instant::now()).await;
        newer(self)
    }

    /// Waits for a fetch: the one that is under way, or one that begins now, if it may.
    async fn fetched(self: &Arc<Self>, now: Instant) {
        self.begin(now);
        let mut state = self.state.subscribe();
        let fetched = state.wait_for(|state| !state.is_fetching).await;
        fetched.expect("this holds the sender");
    }

    fn begin(self: &Arc<Self>, now: Instant) {
        let begins = self.state.send_if_modified(|state| {
            let begins = state.is_rested(now);
            if begins {
                state.is_fetching = true;
                state.begun_at = Some(now);
            }
            begins
        });
        if begins {
            // On a task of its own: whoever came first may go away while others wait. Made here: a runtime that ends before
            // the task's first turn drops it, too.
            let outcome = Outcome {
                of: Arc::clone(self),
                result: Err("the fetch did not end".to_owned()),
            };
            tokio::spawn(async move {
                let mut outcome = outcome;
                let text = outcome.of.fetch.run().await;
                outcome.result = text.and_then(|text| outcome.of.read(text));
            });
        }
    }

    fn end(&self, fetched: Result<Kept, String>) {
        let failure = fetched.as_ref().err().cloned();
        let mut was_failing = false;
        let mut has_keys = false;
        self.state.send_modify(|state| {
            state.is_fetching = false;
            was_failing = state.failure.is_some();
            match fetched {
                Ok(kept) => (state.keys, state.failure) = (Some(kept), None),
                Err(failure) => state.failure = Some(failure),
            }
            has_keys = state.keys.is_some();
        });
        let url = self.fetch.url();
        match failure {
            // Said once, until one goes well.
            Some(_) if was_failing => {}
            Some(error) if has_keys => tracing::warn!(
                target: "wireloom", url, error,
                "the keys of tokens cannot be fetched; those before stay in use"
            ),
            Some(error) => tracing::warn!(
                target: "wireloom", url, error,
                "the keys of tokens cannot be fetched; calls with tokens fail until they can"
            ),
            None if was_failing => {
                tracing::info!(target: "wireloom", url, "the keys of tokens are fetched again");
            }
            None => {}
        }
    }

    /// The keys of a document: those that there are, where it is the same. Calls do not wait for it meanwhile.
    ///
    /// # Errors
    ///
    /// Why they cannot be used.
    fn read(&self, text: Vec<u8>) -> Result<Kept, String> {
        let same = {
            let state = self.state.borrow();
            let kept = state.keys.as_ref().filter(|kept| kept.text == text);
            kept.map(|kept| Arc::clone(&kept.keys))
        };
        let keys = match same {
            Some(keys) => keys,
            None => {
                let keys = Arc::new(KeySet::of_jwks(&text)?);
                self.oversized.warn(&keys);
                tracing::debug!(target: "wireloom", url = self.fetch.url(), "the keys of tokens are new");
                keys
            }
        };
        let at = Instant::now();
        Ok(Kept { keys, text, at })
    }
}

/// What came of a fetch, told when dropped: so callers go on even where its runtime was shut down.
struct Outcome {
    of: Arc<Remote>,
    result: Result<Kept, String>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(String::new()));
        self.of.end(result);
    }
}
