//! A gRPC service config in JSON: read into the syntax of policies, and kept where it holds for a channel as a whole.
//!
//! Files that are published beside APIs' protos read without change. Many say less than gRFC A6 demands, since they were
//! written for generators of client libraries; what is made of that is a note, which `wireloom explain` shows.

mod json;

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::model::MAX_ATTEMPTS;
use crate::source::Source;
use crate::syntax::{HedgingPolicy, Policy, RetryPolicy, RetryThrottling, Written};
use json::{Node, Object};

/// What a service config says.
#[derive(Clone, Debug)]
pub(crate) struct ServiceConfig {
    /// The file, by the name that messages call it.
    pub(crate) file: String,
    pub(crate) methods: Vec<MethodConfig>,
    pub(crate) retry_throttling: Option<Written<RetryThrottling>>,
    /// The names in `loadBalancingConfig`, in their order.
    pub(crate) load_balancing_policies: Vec<Written<String>>,
    pub(crate) health_check_service: Option<String>,
    /// The fields that are not read, with their places.
    pub(crate) unread: Vec<Written<String>>,
}

/// An entry of `methodConfig`.
#[derive(Clone, Debug)]
pub(crate) struct MethodConfig {
    /// The entry's path in the file (`methodConfig[2]`).
    pub(crate) key: String,
    pub(crate) names: Vec<Written<Name>>,
    pub(crate) policy: Policy,
    /// What was made of what the entry does not say, with its place.
    pub(crate) notes: Vec<Written<String>>,
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A method, by its service and its name.
    Method(String, String),
    /// Every method of a service that has no entry of its own.
    Service(String),
    /// Every method that no other entry is for.
    Default,
}

impl ServiceConfig {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no JSON, or has a known field that may not be as it is; all of those are reported.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::new(format!("cannot read `{}`", path.display())).with_cause(error)
        })?;
        Self::parse(&Source::new(path.display().to_string(), text))
    }

    fn parse(source: &Source) -> Result<Self, Error> {
        let document = json::parse(source)?;
        let mut errors = Vec::new();
        let config = Node::root(source, &document)
            .object(&mut errors)
            .map(|document| Self::from_object(source.name(), document, &mut errors));
        match Error::all(errors) {
            Some(error) => Err(error),
            None => Ok(config.expect("a document that is no object is an error")),
        }
    }

    fn from_object(file: &str, mut document: Object<'_>, errors: &mut Vec<Error>) -> Self {
        let mut unread = Vec::new();
        let entries = document.items("methodConfig", errors);
        let methods = entries
            .iter()
            .filter_map(|entry| Some(method_config(entry.object(errors)?, &mut unread, errors)))
            .collect();
        let throttling = document.object("retryThrottling", errors);
        let throttling =
            throttling.map(|throttling| retry_throttling(throttling, &mut unread, errors));
        let health_check = document.object("healthCheckConfig", errors);
        let health_check_service = health_check.and_then(|mut check| {
            let name = check.string("serviceName", errors);
            check.finish(&mut unread);
            name
        });
        let load_balancing_policies = load_balancing(&mut document, errors);
        document.finish(&mut unread);
        Self {
            file: file.to_owned(),
            methods,
            retry_throttling: throttling,
            load_balancing_policies,
            health_check_service: health_check_service.map(|name| name.value),
            unread,
        }
    }

    /// The entry for a method: the one of its name, else that of its service, else the default. Where several have the
    /// same name, the first counts.
    pub(crate) fn method(&self, service: &str, method: &str) -> Option<usize> {
        let names = [
            Name::Method(service.to_owned(), method.to_owned()),
            Name::Service(service.to_owned()),
            Name::Default,
        ];
        names.iter().find_map(|name| {
            let is_named = |entry: &MethodConfig| entry.is_for(name);
            self.methods.iter().position(is_named)
        })
    }

    /// Whether an entry is for a service, for one of its methods, or for every method.
    pub(crate) fn is_for(&self, service: &str) -> bool {
        let mut names = self.methods.iter().flat_map(|entry| &entry.names);
        names.any(|name| match &name.value {
            Name::Method(named, _) | Name::Service(named) => named == service,
            Name::Default => true,
        })
    }

    /// Whether the file has other entries for what an entry's own names are for, which do not count.
    pub(crate) fn repeats(&self, entry: usize) -> bool {
        let names = &self.methods[entry].names;
        let others = self.methods.iter().skip(entry + 1);
        names.iter().enumerate().any(|(at, name)| {
            let is_same = |other: &Written<Name>| other.value == name.value;
            names[at + 1..].iter().any(is_same)
                || others.clone().any(|other| other.is_for(&name.value))
        })
    }
}

impl MethodConfig {
    fn is_for(&self, name: &Name) -> bool {
        self.names.iter().any(|named| named.value == *name)
    }
}

fn method_config(
    mut entry: Object<'_>,
    unread: &mut Vec<Written<String>>,
    errors: &mut Vec<Error>,
) -> MethodConfig {
    let mut notes = Vec::new();
    let names = entry.items("name", errors);
    let names = names
        .iter()
        .filter_map(|name| self::name(name, unread, errors));
    let names = names.collect();
    let retry_policy = entry.object("retryPolicy", errors);
    let hedging_policy = entry.object("hedgingPolicy", errors);
    let policy = Policy {
        timeout: entry.string("timeout", errors),
        wait_for_ready: entry.boolean("waitForReady", errors),
        max_request_message_bytes: entry.integer("maxRequestMessageBytes", errors),
        max_response_message_bytes: entry.integer("maxResponseMessageBytes", errors),
        retry_policy: retry_policy
            .map(|policy| self::retry_policy(policy, unread, &mut notes, errors)),
        hedging_policy: hedging_policy.map(|policy| self::hedging_policy(policy, unread, errors)),
        ..Policy::default()
    };
    entry.finish(unread);
    MethodConfig {
        key: entry.path().to_owned(),
        names,
        policy,
        notes,
    }
}

fn name(
    name: &Node<'_>,
    unread: &mut Vec<Written<String>>,
    errors: &mut Vec<Error>,
) -> Option<Written<Name>> {
    let mut name = name.object(errors)?;
    let mut part = |field| {
        let text = name.string(field, errors);
        text.map(|text| text.value).filter(|text| !text.is_empty())
    };
    let (service, method) = (part("service"), part("method"));
    name.finish(unread);
    let value = match (service, method) {
        (Some(service), Some(method)) => Name::Method(service, method),
        (Some(service), None) => Name::Service(service),
        (None, None) => Name::Default,
        (None, Some(method)) => {
            let message = format!(
                "`{}` has the method `{method}`, but no service",
                name.path()
            );
            let must = "needs `service`, such as \"helloworld.Greeter\"";
            errors.push(name.spot().error(message, must));
            return None;
        }
    };
    Some(Written {
        value,
        spot: name.spot(),
    })
}

fn retry_policy(
    mut policy: Object<'_>,
    unread: &mut Vec<Written<String>>,
    notes: &mut Vec<Written<String>>,
    errors: &mut Vec<Error>,
) -> Written<RetryPolicy> {
    let spot = policy.spot();
    let value = RetryPolicy {
        max_attempts: policy.integer("maxAttempts", errors),
        initial_backoff: policy.string("initialBackoff", errors),
        max_backoff: policy.string("maxBackoff", errors),
        backoff_multiplier: policy.number("backoffMultiplier", errors),
        retryable_status_codes: policy.codes("retryableStatusCodes", errors),
    };
    policy.finish(unread);
    let codes = value.retryable_status_codes.as_ref();
    let left_out = if codes.is_none_or(|codes| codes.value.is_empty()) {
        Some("retryableStatusCodes: it counts as none".to_owned())
    } else if value.max_attempts.is_none() {
        Some(format!("maxAttempts: gRPC's cap of {MAX_ATTEMPTS} holds"))
    } else {
        None
    };
    notes.extend(left_out.map(|what| Written {
        value: format!("`{}` has no {what}", policy.path()),
        spot: spot.clone(),
    }));
    Written { value, spot }
}

fn hedging_policy(
    mut policy: Object<'_>,
    unread: &mut Vec<Written<String>>,
    errors: &mut Vec<Error>,
) -> Written<HedgingPolicy> {
    let value = HedgingPolicy {
        max_attempts: policy.integer("maxAttempts", errors),
        hedging_delay: policy.string("hedgingDelay", errors),
        non_fatal_status_codes: policy.codes("nonFatalStatusCodes", errors),
    };
    policy.finish(unread);
    Written {
        value,
        spot: policy.spot(),
    }
}

fn retry_throttling(
    mut throttling: Object<'_>,
    unread: &mut Vec<Written<String>>,
    errors: &mut Vec<Error>,
) -> Written<RetryThrottling> {
    let value = RetryThrottling {
        max_tokens: throttling.number("maxTokens", errors),
        token_ratio: throttling.number("tokenRatio", errors),
    };
    throttling.finish(unread);
    Written {
        value,
        spot: throttling.spot(),
    }
}

/// The names of load-balancing policies, in their order; the deprecated `loadBalancingPolicy` where there is no list of them.
fn load_balancing(document: &mut Object<'_>, errors: &mut Vec<Error>) -> Vec<Written<String>> {
    let deprecated = document.string("loadBalancingPolicy", errors);
    let Some(list) = document.get("loadBalancingConfig", errors) else {
        let policy = deprecated.map(|policy| Written {
            value: policy.value.to_ascii_lowercase(),
            spot: policy.spot,
        });
        let says_something =
            |policy: &Written<String>| !matches!(policy.value.as_str(), "" | "unspecified");
        return policy.into_iter().filter(says_something).collect();
    };
    let entries = list.items(errors);
    if entries.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`{}` names no policy", list.path());
        errors.push(list.spot().error(message, "must have one or more"));
    }
    let names = entries.iter().flatten().filter_map(|entry| {
        let policy = entry.object(errors)?;
        let [(name, config)] = &policy.fields()[..] else {
            let message = format!("`{}` must have one field, the policy's name", policy.path());
            let must = "must be like {\"pick_first\": {}}";
            errors.push(policy.spot().error(message, must));
            return None;
        };
        config.object(errors)?;
        Some(Written {
            value: (*name).to_owned(),
            spot: policy.spot(),
        })
    });
    names.collect()
}

#[cfg(test)]
mod tests;
