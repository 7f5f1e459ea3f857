//! Configs as APIs publish them beside their protos.

use super::*;

/// In the shape of what public APIs publish beside their protos: many names to an entry, long backoffs, codes by name.
#[test]
fn a_config_as_public_apis_publish_them_is_read() {
    let config = read(
        r#"{
          "methodConfig": [
            {
              "name": [
                { "service": "example.library.v1.Shelves", "method": "GetShelf" },
                { "service": "example.library.v1.Shelves", "method": "ListShelves" },
                { "service": "example.longrunning.Operations" }
              ],
              "timeout": "60s",
              "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.100s",
                "maxBackoff": "60s",
                "backoffMultiplier": 1.3,
                "retryableStatusCodes": ["DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE"]
              }
            },
            {
              "name": [{ "service": "example.library.v1.Shelves", "method": "WatchShelves" }],
              "timeout": "3600s"
            },
            {
              "name": [{ "service": "example.library.v1.Shelves", "method": "DeleteShelf" }],
              "timeout": "30s",
              "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "1s",
                "maxBackoff": "10s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"]
              }
            }
          ]
        }"#,
    );
    let list = config
        .method("/example.library.v1.Shelves/ListShelves")
        .unwrap();
    assert_eq!(list.timeout, Some(Duration::from_secs(60)));
    let AttemptPolicy::Retry(policy) = list.attempts else {
        panic!("{list:?}");
    };
    assert_eq!(policy.max_attempts, 5);
    assert_eq!(policy.max_backoff, Duration::from_secs(60));
    assert!(policy.retryable_status_codes.contains(Code::Internal));
    assert_eq!(
        config.method("/example.longrunning.Operations/GetOperation"),
        Some(list)
    );
    let watch = config
        .method("/example.library.v1.Shelves/WatchShelves")
        .unwrap();
    assert_eq!(watch.attempts, AttemptPolicy::Single);
    assert_eq!(
        config.method("/example.library.v1.Shelves/CreateShelf"),
        None
    );
}

/// Many published configs leave `maxAttempts` to the code that is generated from them; gRPC itself requires it.
#[test]
fn rule_2_a_published_policy_without_max_attempts_is_rejected() {
    let error = rejected(
        r#"{
          "methodConfig": [
            {
              "name": [{ "service": "example.bank.v1.Bank", "method": "ListSessions" }],
              "timeout": "3600s",
              "retryPolicy": {
                "initialBackoff": "0.250s",
                "maxBackoff": "32s",
                "backoffMultiplier": 1.3,
                "retryableStatusCodes": ["UNAVAILABLE"]
              }
            }
          ]
        }"#,
    );
    assert_eq!(error.field(), "methodConfig[0].retryPolicy.maxAttempts");
    assert_eq!(error.reason(), "is missing");
}

#[test]
fn what_is_published_beside_apis_reads_without_change() {
    let config = ServiceConfig::from_published_json(
        r#"{
          "methodConfig": [
            {
              "name": [{ "service": "example.bank.v1.Bank" }],
              "timeout": "60s",
              "retryPolicy": {
                "initialBackoff": "0.250s",
                "maxBackoff": "32s",
                "backoffMultiplier": 1.3,
                "retryableStatusCodes": ["UNAVAILABLE"]
              }
            },
            {
              "name": [
                { "service": "example.bank.v1.Bank" },
                { "service": "example.bank.v1.Bank", "method": "Pay" }
              ],
              "timeout": "10s",
              "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": []
              }
            }
          ]
        }"#,
    )
    .unwrap();
    let list = config.method("/example.bank.v1.Bank/List").unwrap();
    assert_eq!(list.timeout, Some(Duration::from_secs(60)));
    assert!(matches!(list.attempts, AttemptPolicy::Retry(policy) if policy.max_attempts == 5));
    let pay = config.method("/example.bank.v1.Bank/Pay").unwrap();
    assert_eq!(pay.timeout, Some(Duration::from_secs(10)));
    assert_eq!(pay.attempts, AttemptPolicy::Single);
}

#[test]
fn a_published_config_is_still_held_to_the_other_rules() {
    let error = ServiceConfig::from_published_json(
        r#"{"methodConfig": [{"name": [{"service": "a.B"}], "timeout": "soon"}]}"#,
    );
    assert_eq!(error.unwrap_err().field(), "methodConfig[0].timeout");
}
