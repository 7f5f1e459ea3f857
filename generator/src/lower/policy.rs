//! Policies: judged where they are written, and laid over each other.
//!
//! A policy is judged by gRFC A6's rules as soon as it is read, once, wherever it applies. What a later layer sets wins,
//! value by value; an attempt policy is one value.

mod authorization;
mod codes;
mod durations;
mod judge;
mod throttling;

use crate::error::Error;
use crate::model::{
    AttemptPolicy, Authorization, Bytes, Idempotency, MethodKind, MethodPolicy, Origin, Origins,
    ProtoDuration, RetryPolicy, RetryThrottling, Sourced,
};
use crate::source::Spot;
use crate::syntax::{self, Written};
use judge::Judge;

pub(super) use judge::Spelling;
pub(super) use throttling::refuse_throttling;

/// What one option or one table of `wireloom.toml` says.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    timeout: Setting<ProtoDuration>,
    attempts: Setting<AttemptPolicy>,
    wait_for_ready: Option<Sourced<bool>>,
    max_request_message_bytes: Option<Sourced<Bytes>>,
    max_response_message_bytes: Option<Sourced<Bytes>>,
    retry_throttling: Option<Sourced<RetryThrottling>>,
    authorization: Option<Sourced<Authorization>>,
}

/// What a layer says of a value.
#[derive(Clone, Debug)]
enum Setting<T> {
    /// Nothing: a layer below decides.
    Unset,
    /// There is none.
    Off(Origin),
    /// This is it.
    On(Sourced<T>),
}

/// The generator's own policy of a method, and where its proto sets `idempotency_level`.
pub(super) fn defaults(
    kind: MethodKind,
    idempotency: Idempotency,
    level: impl FnOnce() -> Spot,
) -> MethodPolicy {
    let timeout = (kind == MethodKind::Unary).then(|| Sourced {
        value: durations::from_millis(10_000),
        origin: Origin::Default,
    });
    let attempts = (idempotency != Idempotency::Unknown).then(|| {
        let Spot { place, .. } = level();
        let policy = RetryPolicy {
            max_attempts: 3,
            initial_backoff: durations::from_millis(100),
            max_backoff: durations::from_millis(1_000),
            backoff_multiplier: 2.0,
            backoff_multiplier_rust: "2.0".to_owned(),
            retryable_status_codes: vec![codes::UNAVAILABLE.status_code()],
            origins: Origins::new(),
        };
        Sourced {
            value: AttemptPolicy::Retry(policy),
            origin: Origin::IdempotencyLevel {
                file: place.file,
                line: place.line,
            },
        }
    });
    MethodPolicy {
        timeout,
        attempts,
        ..MethodPolicy::default()
    }
}

impl Layer {
    /// Lays this over what is below.
    pub(super) fn over(&self, policy: &mut MethodPolicy) {
        match &self.timeout {
            Setting::Unset => {}
            Setting::Off(origin) => {
                (policy.timeout, policy.no_timeout) = (None, Some(origin.clone()))
            }
            Setting::On(timeout) => {
                (policy.timeout, policy.no_timeout) = (Some(timeout.clone()), None)
            }
        }
        match &self.attempts {
            Setting::Unset => {}
            Setting::Off(origin) => {
                (policy.attempts, policy.no_retry) = (None, Some(origin.clone()))
            }
            Setting::On(attempts) => {
                (policy.attempts, policy.no_retry) = (Some(attempts.clone()), None)
            }
        }
        set(&mut policy.wait_for_ready, &self.wait_for_ready);
        set(
            &mut policy.max_request_message_bytes,
            &self.max_request_message_bytes,
        );
        set(
            &mut policy.max_response_message_bytes,
            &self.max_response_message_bytes,
        );
        set(&mut policy.retry_throttling, &self.retry_throttling);
        set(&mut policy.authorization, &self.authorization);
    }
}

fn set<T: Clone>(value: &mut Option<T>, layer: &Option<T>) {
    if layer.is_some() {
        value.clone_from(layer);
    }
}

/// Judges a policy; what may not be is added to the errors, and left out.
///
/// `origin` makes the origin of a field from its place and from its name, as its author finds it.
pub(super) fn judge(
    policy: &syntax::Policy,
    spelling: Spelling<'_>,
    origin: impl Fn(&Spot, String) -> Origin,
    errors: &mut Vec<Error>,
) -> Layer {
    let mut judge = Judge::new(spelling, &origin, errors);
    let timeout = match (&policy.timeout, is_true(&policy.no_timeout)) {
        (Some(timeout), Some(off)) => {
            judge.not_both("timeout", &timeout.spot, "no_timeout", off);
            Setting::Unset
        }
        (_, Some(off)) => Setting::Off(judge.origin("no_timeout", off)),
        (Some(timeout), None) => on(judge.timeout(timeout), || {
            judge.origin("timeout", &timeout.spot)
        }),
        (None, None) => Setting::Unset,
    };

    // Both are judged even where only one may stay, so that one run shows all that is wrong.
    let retry = policy.retry_policy.as_ref().map(|retry| {
        let judged = judge.within("retry_policy", |judge| judge.retry(retry));
        (&retry.spot, judged.map(AttemptPolicy::Retry))
    });
    let hedging = policy.hedging_policy.as_ref().map(|hedging| {
        let judged = judge.within("hedging_policy", |judge| judge.hedging(hedging));
        (&hedging.spot, judged.map(AttemptPolicy::Hedging))
    });
    let attempts = match (retry, hedging, is_true(&policy.no_retry)) {
        (Some((retry, _)), Some((hedging, _)), _) => {
            judge.not_both("retry_policy", retry, "hedging_policy", hedging);
            Setting::Unset
        }
        (Some((spot, _)), None, Some(off)) => {
            judge.not_both("retry_policy", spot, "no_retry", off);
            Setting::Unset
        }
        (None, Some((spot, _)), Some(off)) => {
            judge.not_both("hedging_policy", spot, "no_retry", off);
            Setting::Unset
        }
        (None, None, Some(off)) => Setting::Off(judge.origin("no_retry", off)),
        (Some((spot, retry)), None, None) => on(retry, || judge.origin("retry_policy", spot)),
        (None, Some((spot, hedging)), None) => on(hedging, || judge.origin("hedging_policy", spot)),
        (None, None, None) => Setting::Unset,
    };
    let wait_for_ready = policy.wait_for_ready.as_ref().map(|wait| Sourced {
        value: wait.value,
        origin: judge.origin("wait_for_ready", &wait.spot),
    });
    let retry_throttling = policy.retry_throttling.as_ref().and_then(|throttling| {
        let judged = judge.within("retry_throttling", |judge| judge.throttling(throttling));
        Some(Sourced {
            value: judged?,
            origin: judge.origin("retry_throttling", &throttling.spot),
        })
    });
    let authorization = policy.authorization.as_ref().and_then(|authorization| {
        Some(Sourced {
            value: judge.authorization(authorization)?,
            origin: judge.origin("authorization", &authorization.spot),
        })
    });
    let mut bytes = |name: &str, field: &Option<Written<i64>>| {
        let field = field.as_ref()?;
        Some(Sourced {
            value: judge.bytes(name, field)?,
            origin: judge.origin(name, &field.spot),
        })
    };
    Layer {
        timeout,
        attempts,
        wait_for_ready,
        max_request_message_bytes: bytes(
            "max_request_message_bytes",
            &policy.max_request_message_bytes,
        ),
        max_response_message_bytes: bytes(
            "max_response_message_bytes",
            &policy.max_response_message_bytes,
        ),
        retry_throttling,
        authorization,
    }
}

fn on<T>(value: Option<T>, origin: impl FnOnce() -> Origin) -> Setting<T> {
    value.map_or(Setting::Unset, |value| {
        Setting::On(Sourced {
            value,
            origin: origin(),
        })
    })
}

fn is_true(flag: &Option<Written<bool>>) -> Option<&Spot> {
    flag.as_ref()
        .filter(|flag| flag.value)
        .map(|flag| &flag.spot)
}
