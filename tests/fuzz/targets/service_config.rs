//! A service config in JSON.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wireloom::{
    AttemptPolicy, Code, Deadline, InvalidServiceConfig, MethodConfig, ServiceConfig,
    fuzzing::backoffs,
};

fuzz_target!(|json: &str| {
    match ServiceConfig::from_json(json) {
        Ok(config) => {
            let document = serde_json::from_str(json).expect("what is read is JSON");
            assert_serves(&config, &document);
        }
        Err(error) => assert_places(&error, json),
    }
});

/// Every name of the document leads to a config, all of whose values are ones that a call can act on.
fn assert_serves(config: &ServiceConfig, document: &Value) {
    for method in list(document, "methodConfig", "method_config") {
        for name in list(method, "name", "name") {
            let part = |field| name.get(field).and_then(Value::as_str).unwrap_or_default();
            let path = match (part("service"), part("method")) {
                ("", "") => "/any.Service/AnyMethod".to_owned(),
                (service, "") => format!("/{service}/AnyMethod"),
                (service, method) => format!("/{service}/{method}"),
            };
            assert_usable(config.method(&path).expect("what is named is found"));
        }
    }
    if let Some(throttling) = config.retry_throttling() {
        assert!((1..=1_000_000).contains(&throttling.max_tokens_thousandths()));
        assert!(throttling.token_ratio_thousandths() > 0);
    }
    if let Some(load_balancing) = config.load_balancing() {
        assert_eq!(load_balancing.validate(), Ok(()));
    }
}

fn list<'a>(object: &'a Value, camel: &str, snake: &str) -> &'a [Value] {
    // A null is an absent field.
    let lists = [object.get(camel), object.get(snake)];
    let mut lists = lists.into_iter().flatten().filter_map(Value::as_array);
    lists.next().map_or(&[], Vec::as_slice)
}

fn assert_usable(method: &MethodConfig) {
    if let Some(timeout) = method.timeout {
        Deadline::after(timeout);
    }
    match method.attempts {
        AttemptPolicy::Retry(policy) => {
            assert_eq!(policy.validate(), Ok(()));
            for delay in backoffs(&policy, 1.0) {
                // With some room for rounding.
                assert!(delay <= policy.max_backoff.mul_f64(1.2) + Duration::from_micros(100));
            }
        }
        AttemptPolicy::Hedging(policy) => {
            assert!(policy.max_attempts >= 2);
            assert!(!policy.non_fatal_status_codes.contains(Code::Ok));
        }
        _ => {}
    }
}

/// An error is about a place in the document, and says so.
fn assert_places(error: &InvalidServiceConfig, json: &str) {
    assert!(!error.reason().is_empty() && !error.expected().is_empty());
    let text = error.to_string();
    match error.position() {
        Some((line, _)) => {
            // An empty document has one line, too; reading may end behind a last line break.
            assert!((1..=json.split('\n').count()).contains(&line), "{text}");
            assert!(serde_json::from_str::<Value>(json).is_err());
        }
        None => assert!(text.contains(error.field()), "{text}"),
    }
}
