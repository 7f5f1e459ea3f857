//! Which attempts a call makes: transparent retries, and those that its policy asks for.

use std::future::Future;

use tonic::Status;

use super::{Failure, replay::Payload};
use crate::{
    policy::{AttemptPolicy, Backoff, RetryPolicy},
    status,
};

/// Which attempt of its call this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptNumber {
    /// The attempts before this one, transparent ones apart: `grpc-previous-rpc-attempts`.
    pub(crate) previous_attempts: u32,
    /// Whether it sends again, at once, what no handler saw.
    pub(crate) transparent: bool,
}

/// What bounds the retries of every call of a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLimits {
    pub(crate) max_attempts: u32,
    pub(crate) max_replay_buffer_size: usize,
}

/// Makes attempts until one has response headers, or none is left.
pub(crate) async fn run<T, F>(
    policy: AttemptPolicy,
    limits: RetryLimits,
    payload: &Payload,
    attempt: impl Fn(AttemptNumber) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut retries = Retries::new(policy, limits);
    let mut transparent = false;
    loop {
        let number = AttemptNumber {
            previous_attempts: retries.previous_attempts,
            transparent,
        };
        match attempt(number).await {
            Ok(answer) => {
                payload.commit();
                return Ok(answer);
            }
            Err(Failure::Unprocessed(_)) if retries.take_transparent(payload) => transparent = true,
            Err(failure) => {
                retries.back_off(failure.into_status(), payload).await?;
                transparent = false;
            }
        }
    }
}

/// The state of one call's retries.
struct Retries {
    policy: Option<(RetryPolicy, Backoff)>,
    limits: RetryLimits,
    previous_attempts: u32,
    transparent_used: bool,
}

impl Retries {
    fn new(policy: AttemptPolicy, limits: RetryLimits) -> Self {
        let policy = match policy {
            AttemptPolicy::Retry(policy) => Some((policy, Backoff::new(&policy))),
            AttemptPolicy::Single | AttemptPolicy::Hedging(_) => None,
        };
        Self {
            policy,
            limits,
            previous_attempts: 0,
            transparent_used: false,
        }
    }

    /// An attempt that no handler saw is sent again at once, one time, whatever the policy.
    fn take_transparent(&mut self, payload: &Payload) -> bool {
        let first = self.previous_attempts == 0 && !self.transparent_used;
        self.transparent_used = true;
        first && payload.can_resend()
    }

    /// Waits for the next attempt's turn, where the policy grants one.
    ///
    /// # Errors
    ///
    /// `failed`, where it does not.
    async fn back_off(&mut self, failed: Status, payload: &Payload) -> Result<(), Status> {
        let Some((policy, backoff)) = &mut self.policy else {
            return Err(failed);
        };
        if !policy.retryable_status_codes.contains(failed.code())
            || !payload.can_replay(self.limits.max_replay_buffer_size)
        {
            return Err(failed);
        }
        self.previous_attempts += 1;
        if self.previous_attempts >= policy.max_attempts.min(self.limits.max_attempts) {
            let message = format!(
                "{} ({} attempts failed)",
                failed.message(),
                self.previous_attempts
            );
            return Err(status::with_message(&failed, message));
        }
        let delay = backoff.next_delay(fastrand::f64());
        tracing::debug!(
            target: "wireloom",
            code = status::code_name(failed.code()),
            ?delay,
            "attempt failed, retrying"
        );
        tokio::time::sleep(delay).await;
        Ok(())
    }
}
