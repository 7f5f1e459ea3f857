//! Policies as they are written, in an option, in `wireloom.toml` or in a service config: read, but not yet judged.
//!
//! Every value knows where it stands. What the values mean, and whether they may, is `lower::policy`'s to say.

use crate::source::Spot;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Written<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it is written.
    pub(crate) spot: Spot,
}

/// Where a field stands, if it is there.
fn spot<T>(field: &Option<Written<T>>) -> Option<&Spot> {
    field.as_ref().map(|field| &field.spot)
}

/// `wireloom.Policy`, or the keys of the same names in `wireloom.toml`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) timeout: Option<Written<String>>,
    pub(crate) no_timeout: Option<Written<bool>>,
    pub(crate) retry_policy: Option<Written<RetryPolicy>>,
    pub(crate) hedging_policy: Option<Written<HedgingPolicy>>,
    pub(crate) no_retry: Option<Written<bool>>,
    pub(crate) wait_for_ready: Option<Written<bool>>,
    pub(crate) max_request_message_bytes: Option<Written<i64>>,
    pub(crate) max_response_message_bytes: Option<Written<i64>>,
    pub(crate) retry_throttling: Option<Written<RetryThrottling>>,
    pub(crate) authorization: Option<Written<Authorization>>,
}

/// `wireloom.Authorization`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authorization {
    pub(crate) public: Option<Written<bool>>,
    pub(crate) authenticated: Option<Written<bool>>,
    pub(crate) scopes: Option<Written<Vec<Written<String>>>>,
    pub(crate) any_scopes: Option<Written<Vec<Written<String>>>>,
    pub(crate) identities: Option<Written<Vec<Written<String>>>>,
}

/// `wireloom.RetryPolicy`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryPolicy {
    pub(crate) max_attempts: Option<Written<i64>>,
    pub(crate) initial_backoff: Option<Written<String>>,
    pub(crate) max_backoff: Option<Written<String>>,
    pub(crate) backoff_multiplier: Option<Written<f64>>,
    pub(crate) retryable_status_codes: Option<Written<Vec<Written<Code>>>>,
}

impl RetryPolicy {
    /// The fields by their names, and where those stand that are there.
    pub(crate) fn fields(&self) -> [(&'static str, Option<&Spot>); 5] {
        [
            ("max_attempts", spot(&self.max_attempts)),
            ("initial_backoff", spot(&self.initial_backoff)),
            ("max_backoff", spot(&self.max_backoff)),
            ("backoff_multiplier", spot(&self.backoff_multiplier)),
            ("retryable_status_codes", spot(&self.retryable_status_codes)),
        ]
    }
}

/// `wireloom.HedgingPolicy`.
#[derive(Clone, Debug, Default)]
pub(crate) struct HedgingPolicy {
    pub(crate) max_attempts: Option<Written<i64>>,
    pub(crate) hedging_delay: Option<Written<String>>,
    pub(crate) non_fatal_status_codes: Option<Written<Vec<Written<Code>>>>,
}

impl HedgingPolicy {
    /// The fields by their names, and where those stand that are there.
    pub(crate) fn fields(&self) -> [(&'static str, Option<&Spot>); 3] {
        [
            ("max_attempts", spot(&self.max_attempts)),
            ("hedging_delay", spot(&self.hedging_delay)),
            ("non_fatal_status_codes", spot(&self.non_fatal_status_codes)),
        ]
    }
}

/// `wireloom.RetryThrottling`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryThrottling {
    pub(crate) max_tokens: Option<Written<f64>>,
    pub(crate) token_ratio: Option<Written<f64>>,
}

impl RetryThrottling {
    /// The fields by their names, and where those stand that are there.
    pub(crate) fn fields(&self) -> [(&'static str, Option<&Spot>); 2] {
        [
            ("max_tokens", spot(&self.max_tokens)),
            ("token_ratio", spot(&self.token_ratio)),
        ]
    }
}

/// A status code: gRFC A6 allows its number, and its name in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The number (14).
    Number(i64),
    /// The name (`UNAVAILABLE`).
    Name(String),
}
