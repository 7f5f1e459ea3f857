//! What cannot work in a policy, or does harm, though each of its values is valid.

use super::rows::set_by;
use crate::model::{
    AttemptPolicy, ChannelConfig, HedgingPolicy, Idempotency, MAX_ATTEMPTS, Method, MethodPolicy,
    Origin, Origins, ProtoDuration, RetryPolicy, Sourced, StatusCode,
};
use crate::suggest;

/// The least share of a backoff that jitter leaves (gRFC A6).
const LEAST_JITTER: f64 = 0.8;

/// After these a server may have done what it was asked to: only a method that bears that can be tried again.
const MAY_HAVE_ACTED: [&str; 5] = [
    "CANCELLED",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "DATA_LOSS",
];

/// With these a server says that the same call will fail again.
const WILL_FAIL_AGAIN: [&str; 8] = [
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "UNAUTHENTICATED",
];

/// The load-balancing policies that a channel may have, by gRPC's names.
const LOAD_BALANCING: [&str; 5] = [
    "pick_first",
    "round_robin",
    "least_request_experimental",
    "ring_hash_experimental",
    "outlier_detection_experimental",
];

/// The warning about what a service config says of channels, which gRFC A21 has them refuse. Generated code has none of it, so
/// that the file may be generated with all the same.
pub(super) fn of_channel(config: &ChannelConfig) -> Option<String> {
    let asked = &config.load_balancing_policies;
    let is_known = |name: &String| LOAD_BALANCING.contains(&name.as_str());
    let fails = !asked.is_empty() && !asked.iter().any(is_known);
    fails.then(|| {
        let mut meant = asked
            .iter()
            .filter_map(|name| suggest::nearest(name, LOAD_BALANCING));
        let help = match meant.next() {
            Some(name) => format!("did you mean {name}?"),
            None => format!("add one of {}", LOAD_BALANCING.join(", ")),
        };
        format!(
            "a channel refuses {file}, since it has no load balancing by {}: {help} ({file}:{})",
            asked.join(" or "),
            config.load_balancing_line,
            file = config.file,
        )
    })
}

/// The warnings about a method's policy: what is wrong, what to do, and where the value was set.
pub(super) fn of_method(method: &Method) -> Vec<String> {
    let policy = &method.policy;
    if let Some(timeout) = &policy.timeout
        && seconds(&timeout.value) == 0.0
    {
        // Without a first attempt there is nothing to say of others.
        let what = "the timeout of 0s leaves a call no time: it sends nothing and fails with DEADLINE_EXCEEDED, unless \
                    it sets a timeout of its own";
        return vec![format!("{what} ({})", set_by(Some(&timeout.origin)))];
    }
    let mut found = Vec::from_iter(endless_wait(policy));
    let Some(attempts) = &policy.attempts else {
        return found;
    };
    let mut warnings = Warnings {
        policy,
        repeatable: method.idempotency != Idempotency::Unknown,
        attempts: &attempts.origin,
        origins: match &attempts.value {
            AttemptPolicy::Retry(retry) => &retry.origins,
            AttemptPolicy::Hedging(hedging) => &hedging.origins,
        },
        found: Vec::new(),
    };
    match &attempts.value {
        AttemptPolicy::Retry(retry) => warnings.retry(retry),
        AttemptPolicy::Hedging(hedging) => warnings.hedging(hedging),
    }
    found.extend(warnings.found);
    found
}

fn endless_wait(policy: &MethodPolicy) -> Option<String> {
    let wait = policy.wait_for_ready.as_ref().filter(|wait| wait.value)?;
    policy.timeout.is_none().then(|| {
        let what = "wait_for_ready without a timeout waits for as long as no connection can be made: set a timeout";
        format!("{what} ({})", set_by(Some(&wait.origin)))
    })
}

struct Warnings<'a> {
    policy: &'a MethodPolicy,
    /// Whether the method may be done twice.
    repeatable: bool,
    /// Where the retries or the hedging were set, as a whole.
    attempts: &'a Origin,
    /// Where their fields were set.
    origins: &'a Origins,
    found: Vec<String>,
}

impl Warnings<'_> {
    fn warn(&mut self, what: String, origin: &Origin) {
        self.found
            .push(format!("{what} ({})", set_by(Some(origin))));
    }

    /// Warns of a field of the retries or of the hedging.
    fn warn_of(&mut self, field: &str, what: String) {
        self.warn(what, self.origins.get(field).unwrap_or(self.attempts));
    }

    fn retry(&mut self, retry: &RetryPolicy) {
        let initial_backoff = &retry.initial_backoff;
        let earliest = seconds(initial_backoff) * LEAST_JITTER;
        if let Some(timeout) = self.shorter_timeout(earliest) {
            let what = format!(
                "the timeout of {} ends the call before its first retry, which comes after {} at the earliest: \
                 raise the timeout, or lower initial_backoff",
                timeout.value.proto,
                spelled(earliest)
            );
            self.warn(what, &timeout.origin);
        }
        if seconds(&retry.max_backoff) < seconds(initial_backoff) {
            let what = format!(
                "max_backoff of {} is below initial_backoff of {}: every delay is the former",
                retry.max_backoff.proto, initial_backoff.proto
            );
            self.warn_of("max_backoff", what);
        }
        let codes = &retry.retryable_status_codes;
        if let Some(codes) = among(codes, &WILL_FAIL_AGAIN) {
            let what = format!(
                "{codes} says that the same call will fail again: a retry is load for nothing"
            );
            self.warn_of("retryable_status_codes", what);
        }
        if !self.repeatable
            && let Some(codes) = among(codes, &MAY_HAVE_ACTED)
        {
            let what = format!(
                "after {codes} the server may have done what it was asked to, and a retry may do it twice: set the \
                 method's idempotency_level if it bears that, or take the code out"
            );
            self.warn_of("retryable_status_codes", what);
        }
        self.cap(retry.max_attempts);
    }

    fn hedging(&mut self, hedging: &HedgingPolicy) {
        if !self.repeatable {
            let what = "hedging may do the method twice, which has no idempotency_level: set it if the method bears \
                        that, or do not hedge";
            self.warn(what.to_owned(), self.attempts);
        }
        let delay = seconds(&hedging.hedging_delay);
        if delay > 0.0
            && let Some(timeout) = self.shorter_timeout(delay)
        {
            let what = format!(
                "the timeout of {} ends the call before its first hedge: raise the timeout, or lower hedging_delay",
                timeout.value.proto
            );
            self.warn(what, &timeout.origin);
        }
        self.cap(hedging.max_attempts);
    }

    /// The timeout, where it ends a call within so many seconds.
    fn shorter_timeout(&self, seconds: f64) -> Option<Sourced<ProtoDuration>> {
        let timeout = self.policy.timeout.clone()?;
        (self::seconds(&timeout.value) <= seconds).then_some(timeout)
    }

    fn cap(&mut self, max_attempts: u32) {
        if max_attempts > MAX_ATTEMPTS {
            let what = format!(
                "a channel makes at most {MAX_ATTEMPTS} attempts of the {max_attempts}, unless `Channel::builder(..).max_attempts(..)` \
                 says otherwise"
            );
            self.warn_of("max_attempts", what);
        }
    }
}

/// The names of those codes that are in the list.
fn among(codes: &[StatusCode], list: &[&str]) -> Option<String> {
    let names = codes.iter().map(|code| code.proto.as_str());
    let found: Vec<&str> = names.filter(|name| list.contains(name)).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn seconds(duration: &ProtoDuration) -> f64 {
    let seconds = duration.proto.trim_end_matches('s').parse();
    seconds.expect("the model's durations are decimal seconds")
}

/// Seconds as proto JSON has them, without what a float adds to them.
fn spelled(seconds: f64) -> String {
    let digits = format!("{seconds:.9}");
    format!("{}s", digits.trim_end_matches('0').trim_end_matches('.'))
}
