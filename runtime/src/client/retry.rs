//! Attempts one after the other: transparent retries, and those that a retry policy asks for.

use std::{future::Future, pin::pin};

use tonic::Status;

use super::{
    AttemptNumber, AttemptRules,
    failure::{Failure, Reach},
    payload::Payload,
    pushback::Pushback,
};
use crate::{
    policy::{Backoff, RetryPolicy},
    status,
};

/// Makes attempts until one has response headers, or none is left; without a policy, transparent ones only.
pub(crate) async fn run<T, F>(
    policy: Option<RetryPolicy>,
    rules: &AttemptRules,
    payload: &Payload,
    attempt: impl Fn(AttemptNumber) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut retries = Retries {
        policy: policy.map(|policy| (policy, Backoff::new(&policy))),
        rules,
        previous_attempts: 0,
        refused_before: false,
    };
    let mut transparent = false;
    for index in 0.. {
        let previous_attempts = retries.previous_attempts;
        let number = AttemptNumber {
            index,
            previous_attempts,
            transparent,
        };
        let Failure { reach, status } = match pin!(attempt(number)).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if reach == Reach::Nowhere {
            return Err(status);
        }
        transparent = retries.is_transparent(reach, payload);
        if !transparent {
            retries.back_off(status, payload).await?;
        }
    }
    Err(Status::internal("no call makes so many attempts"))
}

/// The state of one call's retries.
struct Retries<'a> {
    policy: Option<(RetryPolicy, Backoff)>,
    rules: &'a AttemptRules,
    previous_attempts: u32,
    refused_before: bool,
}

impl Retries<'_> {
    /// Whether the attempt is sent again at once, whatever the policy: what never left the client always, what the
    /// server refused unprocessed one time, on the first attempt.
    fn is_transparent(&mut self, reach: Reach, payload: &Payload) -> bool {
        match reach {
            Reach::NeverSent => payload.can_resend(),
            Reach::Refused => {
                let first = self.previous_attempts == 0 && !self.refused_before;
                self.refused_before = true;
                first && payload.can_resend()
            }
            Reach::Nowhere | Reach::Unknown => false,
        }
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
        let pushback = Pushback::of(&failed);
        let retryable = policy.retryable_status_codes.contains(failed.code());
        if retryable || pushback == Pushback::Stop {
            self.rules.record_failure();
        }
        let granted = retryable && pushback != Pushback::Stop && self.rules.allow_more();
        if !granted || !payload.can_replay() {
            return Err(failed);
        }
        self.previous_attempts += 1;
        if self.previous_attempts >= policy.max_attempts.min(self.rules.limits.max_attempts) {
            return Err(status::after_attempts(&failed, self.previous_attempts));
        }
        let delay = match pushback {
            Pushback::After(delay) => {
                *backoff = Backoff::new(policy);
                delay
            }
            Pushback::None | Pushback::Stop => backoff.next_delay(fastrand::f64()),
        };
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
