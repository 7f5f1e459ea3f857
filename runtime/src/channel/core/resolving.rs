//! The addresses of a channel's target: its resolver's runs, and what they find.

use std::{
    sync::{Arc, MutexGuard, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{Core, State, policy, runtime};
use crate::{
    channel::resolver::{Resolution, ResolverUpdates},
    status,
};

/// How long a resolver that ended without an answer is left alone.
pub(super) const RESOLVER_REST: Duration = Duration::from_secs(1);

impl Core {
    /// Runs the resolver, without the lock: a runtime that is ending drops what it is given at once.
    pub(super) fn resolve(&self, mut state: MutexGuard<'_, State>) {
        state.run += 1;
        state.resolving_since = Some(Instant::now());
        let number = state.run;
        let runtime = runtime(&state);
        drop(state);
        let Some(runtime) = runtime else {
            return;
        };
        let updates = ResolverUpdates::new(Weak::clone(&self.me), Arc::clone(&self.wanted));
        let run = Arc::clone(&self.resolver).run(updates);
        let running = Running {
            core: Weak::clone(&self.me),
            number,
            ended: false,
        };
        let running = async move {
            let mut running = running;
            run.await;
            running.ended = true;
        };
        let running = AbortOnDropHandle::new(runtime.spawn(running));
        let mut state = self.lock();
        if state.run == number {
            state.resolver = Some(running);
        }
    }

    /// A run of the resolver is over: calls are not to wait for an answer that it did not give.
    fn resolver_is_over(&self, run: &Running) {
        let mut state = self.lock();
        let unanswered = state.addresses.is_empty() && state.failure.is_none();
        if state.run != run.number || state.active.is_none() || !unanswered {
            return;
        }
        if run.ended || std::thread::panicking() {
            let target = &self.connector.target;
            let message = format!("could not resolve {target}: its resolver gave no answer");
            state.failure = Some(Arc::new(Status::unavailable(message)));
        } else {
            // Its runtime has ended: the next call begins anew, on another.
            state.active = None;
        }
        self.publish(&mut state);
    }

    /// Runs the resolver again where it has ended without any address, but not at once; gives whether that is so.
    pub(super) fn resolve_anew(&self) -> bool {
        let mut state = self.lock();
        // Those that are ejected come back by one who compares them, who may have ended with its runtime.
        self.detect_outliers(&mut state);
        let ended = state.resolver.as_ref();
        let ended = ended.is_none_or(AbortOnDropHandle::is_finished);
        let lacks = state.active.is_some() && state.addresses.is_empty() && ended;
        let rested = |since: Instant| since.elapsed() >= RESOLVER_REST;
        if lacks && state.resolving_since.is_none_or(rested) {
            self.resolve(state);
        }
        lacks
    }

    /// Has the resolver look again: a connection was lost, or could not be made.
    pub(in crate::channel) fn resolve_again(&self) {
        self.wanted.notify_one();
        let state = self.lock();
        let ended = state.resolver.as_ref();
        if ended.is_some_and(AbortOnDropHandle::is_finished) && Handle::try_current().is_ok() {
            self.resolve(state);
        }
    }

    /// Takes what the resolver has found.
    pub(in crate::channel) fn resolved(&self, found: Result<Resolution, Status>) {
        let mut found = found.and_then(|found| match found.addresses.as_slice() {
            [] => Err(Status::unavailable("it has no address")),
            _ => Ok(found),
        });
        if let Ok(found) = &mut found
            && let Some(config) = found.service_config.take()
        {
            self.config.update(config);
        }
        let mut state = self.lock();
        if state.active.is_none() {
            // The channel has gone idle meanwhile.
            return;
        }
        match found {
            Ok(found) => {
                state.failure = None;
                let mut addresses = Vec::with_capacity(found.addresses.len());
                for address in found.addresses {
                    address.add_to(&mut addresses);
                }
                if *state.addresses != addresses {
                    state.addresses = addresses.into();
                    // It may have come with them.
                    state.policy = policy(&self.config, &self.default_policy);
                    self.arrange(&mut state);
                }
            }
            Err(failure) => {
                let target = &self.connector.target;
                let message = format!("could not resolve {target}: {}", failure.message());
                state.failure = Some(Arc::new(status::with_message(&failure, message)));
            }
        }
        self.follow_config(&mut state);
        self.settle(state);
    }
}

/// A run of a channel's resolver, which may end with its runtime.
struct Running {
    core: Weak<Core>,
    number: usize,
    /// Whether it ended by itself.
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.resolver_is_over(self);
        }
    }
}
