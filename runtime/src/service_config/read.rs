//! From JSON to a [`ServiceConfig`]; one invalid known field rejects all of it, unknown fields are ignored.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;
use tonic::Code;

use super::{
    InvalidServiceConfig, MethodConfig, ServiceConfig,
    durations::{DURATION, DURATION_ABOVE_ZERO},
    json::{BOOL, Form, Node, Object, STRING, integer, number},
    load_balancing,
};
use crate::{
    limits::DEFAULT_MAX_ATTEMPTS,
    policy::{AttemptPolicy, HedgingPolicy, RetryPolicy, RetryThrottling, StatusCodes},
    status::code_name,
};

type Result<T> = std::result::Result<T, InvalidServiceConfig>;

const MAX_ATTEMPTS: Form<u32> = Form {
    expected: "an integer from 2 to 4294967295; it counts the first attempt",
    read: |value| {
        let attempts = u32::try_from(integer(value)?).ok()?;
        (attempts >= 2).then_some(attempts)
    },
};

const BACKOFF_MULTIPLIER: Form<f64> = Form {
    expected: "a number above zero",
    read: |value| number(value).filter(|multiplier| *multiplier > 0.0),
};

const MESSAGE_BYTES: Form<u64> = Form {
    expected: "an integer that is not negative",
    read: integer,
};

const FAILURE_CODE: Form<Code> = Form {
    expected: "the name of a status code such as \"UNAVAILABLE\", or its number from 1 to 16; OK is no failure",
    read: |value| match value {
        Value::String(name) => (1..17)
            .map(Code::from_i32)
            .find(|code| code_name(*code).eq_ignore_ascii_case(name)),
        number => {
            let code = i32::try_from(integer(number)?).ok()?;
            (1..17).contains(&code).then(|| Code::from_i32(code))
        }
    },
};

const MAX_TOKENS: Form<u32> = Form {
    expected: "a number above 0 (at least 0.001) and at most 1000",
    read: |value| thousandths(value).filter(|tokens| (1..=1_000_000).contains(tokens)),
};

const TOKEN_RATIO: Form<u32> = Form {
    expected: "a number above 0 (at least 0.001)",
    read: |value| thousandths(value).filter(|ratio| *ratio > 0),
};

/// What is made of what gRFC A6 and A2 do not allow, and yet is published beside APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is invalid.
    Strict,
    /// A retry policy without `maxAttempts` has the default cap, one without codes is none, and of entries with the same
    /// name the first counts.
    Published,
}

impl ServiceConfig {
    pub(super) fn read(document: &Node<'_>, reading: Reading) -> Result<Self> {
        let config = document.object()?;
        let (methods, paths) = read_methods(&config, reading)?;
        let asked = load_balancing::read(&config)?;
        Ok(Self {
            methods,
            paths,
            retry_throttling: match config.get("retryThrottling")? {
                Some(throttling) => Some(read_throttling(&throttling.object()?)?),
                None => None,
            },
            load_balancing: asked.load_balancing,
            outlier_detection: asked.outlier_detection,
            health_check_service: match config.get("healthCheckConfig")? {
                Some(check) => check.object()?.optional("serviceName", STRING)?,
                None => None,
            },
        })
    }
}

/// The method configs, and which of them each name leads to.
fn read_methods(
    config: &Object<'_>,
    reading: Reading,
) -> Result<(Vec<MethodConfig>, HashMap<String, usize>)> {
    let mut methods = Vec::new();
    let mut paths = HashMap::new();
    let mut named_at = HashMap::new();
    for (i, method) in config.items("methodConfig")?.iter().enumerate() {
        let method = method.object()?;
        for name in method.items("name")? {
            let at = name.path().to_owned();
            let path = read_name(&name)?;
            match named_at.entry(path.clone()) {
                Entry::Occupied(_) if reading == Reading::Published => continue,
                Entry::Occupied(first) => {
                    let reason =
                        format!("names {}, as `{}` does", describe_name(&path), first.get());
                    return Err(InvalidServiceConfig::new(at, reason, "named once"));
                }
                Entry::Vacant(vacant) => vacant.insert(at),
            };
            paths.insert(path, i);
        }
        methods.push(read_method(&method, reading)?);
    }
    Ok((methods, paths))
}

/// The prefix of paths that a name matches: `/service/method`, `/service/`, or nothing for the default.
fn read_name(name: &Node<'_>) -> Result<String> {
    let name = name.object()?;
    let service = name.optional("service", STRING)?.unwrap_or_default();
    let method = name.optional("method", STRING)?.unwrap_or_default();
    match (service.as_str(), method.as_str()) {
        ("", "") => Ok(String::new()),
        ("", method) => Err(InvalidServiceConfig::new(
            name.path_of("service"),
            format!("is missing beside the method \"{method}\""),
            "the method's service with its package, such as \"helloworld.Greeter\"",
        )),
        (service, method) => Ok(format!("/{service}/{method}")),
    }
}

fn describe_name(path: &str) -> &str {
    if path.is_empty() {
        "every method"
    } else {
        path
    }
}

fn read_method(method: &Object<'_>, reading: Reading) -> Result<MethodConfig> {
    Ok(MethodConfig {
        timeout: method.optional("timeout", DURATION)?,
        wait_for_ready: method.optional("waitForReady", BOOL)?,
        max_request_message_bytes: method.optional("maxRequestMessageBytes", MESSAGE_BYTES)?,
        max_response_message_bytes: method.optional("maxResponseMessageBytes", MESSAGE_BYTES)?,
        attempts: read_attempts(method, reading)?,
    })
}

fn read_attempts(method: &Object<'_>, reading: Reading) -> Result<AttemptPolicy> {
    match (method.get("retryPolicy")?, method.get("hedgingPolicy")?) {
        (None, None) => Ok(AttemptPolicy::Single),
        (Some(retry), None) => {
            let retry = read_retry(&retry.object()?, reading)?;
            Ok(retry.map_or(AttemptPolicy::Single, AttemptPolicy::Retry))
        }
        (None, Some(hedging)) => Ok(AttemptPolicy::Hedging(read_hedging(&hedging.object()?)?)),
        (Some(retry), Some(hedging)) => Err(InvalidServiceConfig::new(
            hedging.path(),
            format!("stands beside `{}`", retry.path()),
            "the method's only policy of the two, or absent",
        )),
    }
}

fn read_retry(policy: &Object<'_>, reading: Reading) -> Result<Option<RetryPolicy>> {
    const CODES: &str = "retryableStatusCodes";
    const ATTEMPTS: &str = "maxAttempts";
    let retry = RetryPolicy {
        max_attempts: match reading {
            Reading::Strict => policy.required(ATTEMPTS, MAX_ATTEMPTS)?,
            Reading::Published => policy
                .optional(ATTEMPTS, MAX_ATTEMPTS)?
                .unwrap_or(DEFAULT_MAX_ATTEMPTS),
        },
        initial_backoff: policy.required("initialBackoff", DURATION_ABOVE_ZERO)?,
        max_backoff: policy.required("maxBackoff", DURATION_ABOVE_ZERO)?,
        backoff_multiplier: policy.required("backoffMultiplier", BACKOFF_MULTIPLIER)?,
        retryable_status_codes: read_codes(policy, CODES)?,
    };
    if retry.retryable_status_codes.is_empty() {
        if reading == Reading::Published {
            return Ok(None);
        }
        let expected = "at least one status code, such as [\"UNAVAILABLE\"]";
        return Err(match policy.get(CODES)? {
            Some(codes) => InvalidServiceConfig::new(codes.path(), "is empty", expected),
            None => policy.missing(CODES, expected),
        });
    }
    Ok(Some(retry))
}

fn read_hedging(policy: &Object<'_>) -> Result<HedgingPolicy> {
    Ok(HedgingPolicy {
        max_attempts: policy.required("maxAttempts", MAX_ATTEMPTS)?,
        hedging_delay: policy
            .optional("hedgingDelay", DURATION)?
            .unwrap_or_default(),
        non_fatal_status_codes: read_codes(policy, "nonFatalStatusCodes")?,
    })
}

fn read_codes(policy: &Object<'_>, name: &str) -> Result<StatusCodes> {
    let codes = policy.items(name)?;
    let codes = codes.iter().map(|code| code.read(FAILURE_CODE));
    Ok(StatusCodes::new(&codes.collect::<Result<Vec<_>>>()?))
}

fn read_throttling(throttling: &Object<'_>) -> Result<RetryThrottling> {
    let max_tokens = throttling.required("maxTokens", MAX_TOKENS)?;
    let token_ratio = throttling.required("tokenRatio", TOKEN_RATIO)?;
    RetryThrottling::from_thousandths(max_tokens, token_ratio)
        .map_err(|error| throttling.invalid(error.reason()))
}

/// A number above zero in thousandths, cut off after three decimals; as many as fit where it is larger than that.
fn thousandths(value: &Value) -> Option<u32> {
    let number = number(value).filter(|number| *number > 0.0)?;
    // `number * 1000.0` may fall short of what was written: 0.57 becomes 569.99. A float's shortest decimal is what
    // was written, and has no exponent.
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(format!("{whole}{fraction}").parse().unwrap_or(u32::MAX))
}
