//! Which attempts a call makes: transparent retries, and those that its policy asks for.

use tonic::Status;
use tracing::Instrument as _;

use super::{
    CallHead,
    attempt::{self, Answer, Failure},
    replay::Payload,
};
use crate::{
    channel::Channel,
    policy::{AttemptPolicy, Backoff, RetryPolicy},
    spans::CallSpan,
    status,
};

/// Makes attempts until one has response headers, or none is left.
pub(crate) async fn run(
    channel: &Channel,
    head: &CallHead,
    payload: &Payload,
    span: &CallSpan,
) -> Result<Answer, Status> {
    let mut retries = Retries::new(channel, head);
    let mut transparent = false;
    loop {
        let attempt_span = span.attempt(retries.previous_attempts, transparent);
        match attempt::send(
            channel,
            head,
            payload,
            retries.previous_attempts,
            attempt_span,
        )
        .await
        {
            Ok(answer) => {
                payload.commit();
                return Ok(answer);
            }
            Err(Failure::Unprocessed(_)) if retries.take_transparent(payload) => transparent = true,
            Err(failure) => {
                retries
                    .back_off(failure.into_status(), payload)
                    .instrument(span.span().clone())
                    .await?;
                transparent = false;
            }
        }
    }
}

/// The state of one call's retries.
struct Retries {
    policy: Option<(RetryPolicy, Backoff)>,
    max_attempts: u32,
    buffer_limit: usize,
    previous_attempts: u32,
    transparent_used: bool,
}

impl Retries {
    fn new(channel: &Channel, head: &CallHead) -> Self {
        let policy = match head.attempts {
            AttemptPolicy::Retry(policy) => Some(policy),
            AttemptPolicy::Single | AttemptPolicy::Hedging(_) => None,
        };
        Self {
            policy: policy.map(|policy| (policy, Backoff::new(&policy))),
            max_attempts: policy
                .map_or(1, |policy| policy.max_attempts.min(channel.max_attempts())),
            buffer_limit: channel.max_replay_buffer_size(),
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
            || !payload.can_replay(self.buffer_limit)
        {
            return Err(failed);
        }
        self.previous_attempts += 1;
        if self.previous_attempts >= self.max_attempts {
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
