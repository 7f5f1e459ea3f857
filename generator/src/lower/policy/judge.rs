//! The rules of gRFC A6, and what is said where one is broken.

use heck::ToLowerCamelCase as _;

use super::durations;
use crate::error::Error;
use crate::model::{
    Bytes, HedgingPolicy, MAX_ATTEMPTS, Origin, Origins, ProtoDuration, RetryPolicy,
};
use crate::source::Spot;
use crate::suggest;
use crate::syntax::{self, Written};

/// How the author of a policy spells its fields.
#[derive(Clone, Copy, Debug)]
pub(in crate::lower) enum Spelling<'a> {
    /// As the proto's options and `wireloom.toml` do: `max_attempts`.
    Options,
    /// As the entry of a service config at this path does, or with an empty path as the config does. The whole path is
    /// named, since entries look alike: `methodConfig[2].retryPolicy.maxAttempts`.
    ServiceConfig(&'a str),
}

/// Collects what may not be.
pub(super) struct Judge<'a> {
    pub(super) errors: &'a mut Vec<Error>,
    pub(super) spelling: Spelling<'a>,
    /// Makes the origin of a field from its place and from its name, as its author finds it.
    origin: &'a dyn Fn(&Spot, String) -> Origin,
    /// The policy whose fields are judged; empty for the fields beside it.
    within: &'static str,
    /// What that policy lacks.
    missing: Option<Missing>,
}

/// The fields that a policy needs and has not, which are one error.
struct Missing {
    names: Vec<&'static str>,
    /// Where the policy is.
    spot: Spot,
    /// Where among the errors it belongs.
    at: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        spelling: Spelling<'a>,
        origin: &'a dyn Fn(&Spot, String) -> Origin,
        errors: &'a mut Vec<Error>,
    ) -> Self {
        Self {
            errors,
            spelling,
            origin,
            within: "",
            missing: None,
        }
    }

    /// A field, as its author finds it.
    pub(super) fn named(&self, field: &str) -> String {
        match self.spelling {
            Spelling::Options => field.to_owned(),
            Spelling::ServiceConfig(entry) => {
                let steps = [self.within, field].map(str::to_lower_camel_case);
                let path = [entry].into_iter().chain(steps.iter().map(String::as_str));
                let path: Vec<&str> = path.filter(|step| !step.is_empty()).collect();
                path.join(".")
            }
        }
    }

    /// Where a field was set.
    pub(super) fn origin(&self, field: &str, spot: &Spot) -> Origin {
        (self.origin)(spot, self.named(field))
    }

    /// Where those fields were set that are there.
    pub(super) fn origins<'f>(
        &self,
        fields: impl IntoIterator<Item = (&'static str, Option<&'f Spot>)>,
    ) -> Origins {
        let fields = fields.into_iter();
        let set = fields.filter_map(|(field, spot)| Some((field, self.origin(field, spot?))));
        set.collect()
    }

    /// Judges what is inside a policy.
    pub(super) fn within<T>(
        &mut self,
        policy: &'static str,
        judge: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.within = policy;
        let judged = judge(self);
        if let Some(missing) = self.missing.take() {
            let error = self.lacks(&missing);
            self.errors.insert(missing.at, error);
        }
        self.within = "";
        judged
    }

    pub(super) fn reject(&mut self, spot: &Spot, message: String, must: &str) {
        self.errors.push(spot.error(message, must));
    }

    pub(super) fn not_both(&mut self, one: &str, first: &Spot, other: &str, second: &Spot) {
        let (one, other) = (self.named(one), self.named(other));
        let error = first
            .error(
                format!("a method has `{one}` or `{other}`, not both"),
                "either this",
            )
            .and_at(second, "or this")
            .with_help("take one of them out");
        self.errors.push(error);
    }

    /// A field that must be there.
    pub(super) fn required<'f, T>(
        &mut self,
        name: &'static str,
        field: &'f Option<Written<T>>,
        spot: &Spot,
    ) -> Option<&'f Written<T>> {
        if field.is_none() {
            let at = self.errors.len();
            let missing = self.missing.get_or_insert_with(|| Missing {
                names: Vec::new(),
                spot: spot.clone(),
                at,
            });
            missing.names.push(name);
        }
        field.as_ref()
    }

    fn lacks(&self, missing: &Missing) -> Error {
        let names: Vec<String> = missing.names.iter().map(|name| self.named(name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let listed = suggest::list(&names);
        let is_one = names.len() == 1;
        let message = match self.spelling {
            Spelling::Options => format!("`{}` needs {listed}", self.within),
            Spelling::ServiceConfig(_) if is_one => format!("{listed} is missing"),
            Spelling::ServiceConfig(_) => format!("{listed} are missing"),
        };
        let label = match is_one {
            true => "it is required here",
            false => "they are required here",
        };
        missing.spot.error(message, label)
    }

    fn duration(&mut self, name: &str, field: &Written<String>) -> Option<durations::Nanos> {
        match durations::parse(&field.value) {
            Ok(duration) => Some(duration),
            Err(must) => {
                let message = format!("`{}` is no duration: \"{}\"", self.named(name), field.value);
                let error = field.spot.error(message, must);
                self.errors.push(match durations::meant(&field.value) {
                    Some(meant) => error.with_help(format!("did you mean \"{meant}\"?")),
                    None => error,
                });
                None
            }
        }
    }

    /// A service config may have a timeout of zero, as files that are published do: a call then has no time, and sends
    /// nothing. In an option it can only be a mistake.
    pub(super) fn timeout(&mut self, field: &Written<String>) -> Option<ProtoDuration> {
        match self.spelling {
            Spelling::Options => self.above_zero("timeout", field),
            Spelling::ServiceConfig(_) => self
                .duration("timeout", field)
                .map(durations::proto_duration),
        }
    }

    fn above_zero(&mut self, name: &str, field: &Written<String>) -> Option<ProtoDuration> {
        let duration = self.duration(name, field)?;
        if duration == 0 {
            self.reject(
                &field.spot,
                format!("`{}` must be above zero", self.named(name)),
                "must be above zero, such as \"0.5s\"",
            );
            return None;
        }
        Some(durations::proto_duration(duration))
    }

    pub(super) fn bytes(&mut self, name: &str, field: &Written<i64>) -> Option<Bytes> {
        let Ok(count) = u64::try_from(field.value) else {
            self.reject(
                &field.spot,
                format!("`{}` must not be negative", self.named(name)),
                "must be a number of bytes, such as 65536",
            );
            return None;
        };
        // gRPC's frames have 32 bits for the length, so that nothing is larger; and `usize` may have no more.
        let rust = match u32::try_from(count) {
            Ok(count) => durations::grouped(count.into()),
            Err(_) => "::core::primitive::usize::MAX".to_owned(),
        };
        Some(Bytes { count, rust })
    }

    fn attempts(&mut self, field: &Written<i64>) -> Option<u32> {
        if field.value < 2 {
            let name = self.named("max_attempts");
            let message = format!("`{name}` must be above 1: it counts the first attempt too");
            self.reject(&field.spot, message, "must be 2 or more");
            return None;
        }
        let value = u32::try_from(field.value).ok();
        if value.is_none() {
            self.reject(
                &field.spot,
                format!("`{}` is too large", self.named("max_attempts")),
                "must fit in 32 bits",
            );
        }
        value
    }

    fn multiplier(&mut self, field: &Written<f64>) -> Option<f64> {
        if field.value > 0.0 && field.value.is_finite() {
            return Some(field.value);
        }
        self.reject(
            &field.spot,
            format!("`{}` must be above zero", self.named("backoff_multiplier")),
            "must be above zero, such as 2",
        );
        None
    }

    pub(super) fn retry(&mut self, written: &Written<syntax::RetryPolicy>) -> Option<RetryPolicy> {
        let (policy, spot) = (&written.value, &written.spot);
        let max_attempts = match (&policy.max_attempts, self.spelling) {
            // Files that are published leave it out.
            (None, Spelling::ServiceConfig(_)) => Some(MAX_ATTEMPTS),
            (field, _) => {
                let field = self.required("max_attempts", field, spot);
                field.and_then(|field| self.attempts(field))
            }
        };
        let initial_backoff = self.required("initial_backoff", &policy.initial_backoff, spot);
        let initial_backoff =
            initial_backoff.and_then(|field| self.above_zero("initial_backoff", field));
        let max_backoff = self.required("max_backoff", &policy.max_backoff, spot);
        let max_backoff = max_backoff.and_then(|field| self.above_zero("max_backoff", field));
        let multiplier = self.required("backoff_multiplier", &policy.backoff_multiplier, spot);
        let multiplier = multiplier.and_then(|field| self.multiplier(field));
        let codes = self.retryable_status_codes(policy, spot);
        let backoff_multiplier = multiplier?;
        Some(RetryPolicy {
            max_attempts: max_attempts?,
            initial_backoff: initial_backoff?,
            max_backoff: max_backoff?,
            backoff_multiplier,
            // Debug, as opposed to Display, always has the point or exponent that makes it a float in Rust.
            backoff_multiplier_rust: format!("{backoff_multiplier:?}"),
            retryable_status_codes: codes?,
            origins: self.origins(policy.fields()),
        })
    }

    pub(super) fn hedging(
        &mut self,
        written: &Written<syntax::HedgingPolicy>,
    ) -> Option<HedgingPolicy> {
        let policy = &written.value;
        let max_attempts = self.required("max_attempts", &policy.max_attempts, &written.spot);
        let max_attempts = max_attempts.and_then(|field| self.attempts(field));
        let delay = match &policy.hedging_delay {
            Some(field) => self.duration("hedging_delay", field),
            None => Some(0),
        };
        let codes = policy.non_fatal_status_codes.as_ref();
        let codes = codes
            .map(|field| self.codes("non_fatal_status_codes", field))
            .unwrap_or_default();
        Some(HedgingPolicy {
            max_attempts: max_attempts?,
            hedging_delay: durations::proto_duration(delay?),
            non_fatal_status_codes: codes,
            origins: self.origins(policy.fields()),
        })
    }
}
