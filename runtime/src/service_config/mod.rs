//! gRPC's service config: what a service's owner says of how it is to be called ([the format]).
//!
//! [the format]: https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto

mod dns;
mod durations;
mod error;
mod json;
mod load_balancing;
mod outlier_detection;
mod read;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

pub use self::error::InvalidServiceConfig;
use self::{json::Node, read::Reading};
use crate::policy::{AttemptPolicy, LoadBalancing, OutlierDetection, RetryThrottling};

/// A gRPC [service config]: timeouts, limits and policies of methods, and what holds for the server as a whole.
///
/// It is read from the JSON that gRPC's other implementations read, and from DNS. As in proto JSON, fields are named in
/// lowerCamelCase or as in the proto (`method_config`), null is absence, and a number may be a string. Unknown fields
/// are ignored; one invalid field rejects the whole config ([gRFC A21]). Where JSON repeats a name within an object,
/// the last counts.
///
/// The default is the config that says nothing.
///
/// ```
/// use std::time::Duration;
/// use wireloom::{AttemptPolicy, ServiceConfig};
///
/// let config = ServiceConfig::from_json(r#"{
///     "methodConfig": [
///         {
///             "name": [{"service": "helloworld.Greeter"}],
///             "timeout": "1.5s",
///             "retryPolicy": {
///                 "maxAttempts": 3,
///                 "initialBackoff": "0.1s",
///                 "maxBackoff": "1s",
///                 "backoffMultiplier": 2,
///                 "retryableStatusCodes": ["UNAVAILABLE"]
///             }
///         },
///         {
///             "name": [{"service": "helloworld.Greeter", "method": "Chat"}],
///             "waitForReady": true
///         }
///     ],
///     "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
/// }"#)?;
///
/// let greet = config.method("/helloworld.Greeter/SayHello").unwrap();
/// assert_eq!(greet.timeout, Some(Duration::from_millis(1500)));
/// assert!(matches!(greet.attempts, AttemptPolicy::Retry(policy) if policy.max_attempts == 3));
///
/// // The most specific entry is the whole answer: entries do not add up.
/// let chat = config.method("/helloworld.Greeter/Chat").unwrap();
/// assert_eq!((chat.wait_for_ready, chat.timeout), (Some(true), None));
/// # Ok::<(), wireloom::InvalidServiceConfig>(())
/// ```
///
/// [service config]: https://github.com/grpc/grpc/blob/master/doc/service_config.md
/// [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    methods: Vec<MethodConfig>,
    /// Where in `methods` the config of `/service/method`, of `/service/`, and of all else (the empty path) is.
    paths: HashMap<String, usize>,
    retry_throttling: Option<RetryThrottling>,
    load_balancing: Option<LoadBalancing>,
    outlier_detection: Option<OutlierDetection>,
    health_check_service: Option<String>,
}

/// What a [`ServiceConfig`] says of a method, or of all methods of a service. What is `None` is not said.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodConfig {
    /// The longest that a whole call may take; the caller's own deadline holds, too, if it is earlier.
    pub timeout: Option<Duration>,
    /// Whether calls wait for a connection while none can be made, rather than fail.
    pub wait_for_ready: Option<bool>,
    /// The largest message that may be sent, in bytes as encoded; zero allows empty ones only.
    pub max_request_message_bytes: Option<u64>,
    /// The largest message that may be received, in bytes as encoded; zero allows empty ones only.
    pub max_response_message_bytes: Option<u64>,
    /// `retryPolicy` or `hedgingPolicy` ([gRFC A6]), as written: a channel may allow fewer attempts.
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
    pub attempts: AttemptPolicy,
}

impl ServiceConfig {
    /// Reads a config from JSON.
    ///
    /// # Errors
    ///
    /// Says which field is invalid, what it is, and what would be valid; or where the text is not JSON.
    ///
    /// ```
    /// use wireloom::ServiceConfig;
    ///
    /// let error = ServiceConfig::from_json(r#"{"retryThrottling": {"maxTokens": 5000, "tokenRatio": 1}}"#).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid service config: `retryThrottling.maxTokens` is 5000; \
    ///      must be a number above 0 (at least 0.001) and at most 1000",
    /// );
    /// ```
    pub fn from_json(json: &str) -> Result<Self, InvalidServiceConfig> {
        Self::read(&Node::root(&json::parse(json)?), Reading::Strict)
    }

    /// Reads a config that is published beside an API's protos (`*_grpc_service_config.json`), as the generators of client
    /// libraries that it was written for read it. Many such files say less than gRPC itself demands; here
    ///
    /// - a retry policy without `maxAttempts` makes up to 5 attempts,
    /// - a retry policy without `retryableStatusCodes` is none,
    /// - of several entries for a name the first counts.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), for all else.
    ///
    /// ```
    /// use wireloom::{AttemptPolicy, ServiceConfig};
    ///
    /// let published = r#"{"methodConfig": [{
    ///     "name": [{"service": "google.pubsub.v1.Publisher", "method": "Publish"}],
    ///     "timeout": "60s",
    ///     "retryPolicy": {
    ///         "initialBackoff": "0.100s",
    ///         "maxBackoff": "60s",
    ///         "backoffMultiplier": 1.3,
    ///         "retryableStatusCodes": ["ABORTED", "UNAVAILABLE"]
    ///     }
    /// }]}"#;
    /// assert!(ServiceConfig::from_json(published).is_err());
    /// let config = ServiceConfig::from_published_json(published)?;
    /// let publish = config.method("/google.pubsub.v1.Publisher/Publish").unwrap();
    /// assert!(matches!(publish.attempts, AttemptPolicy::Retry(policy) if policy.max_attempts == 5));
    /// # Ok::<(), wireloom::InvalidServiceConfig>(())
    /// ```
    pub fn from_published_json(json: &str) -> Result<Self, InvalidServiceConfig> {
        Self::read(&Node::root(&json::parse(json)?), Reading::Published)
    }

    /// Chooses a config from the TXT records of `_grpc_config.<server name>` ([gRFC A2]); `None` where no record begins
    /// with `grpc_config=`, or no choice is for this client.
    ///
    /// A record is its strings, concatenated; the first one that begins so counts. It lists choices, and the first whose
    /// criteria all hold wins; a criterion that is absent or empty holds.
    ///
    /// | criterion | holds where |
    /// |---|---|
    /// | `clientLanguage` | one of the list is `rust`, in any case |
    /// | `percentage` | it is above `percentage`, which the caller draws from 0 to 99 |
    /// | `clientHostname` | one of the list is `hostname` exactly |
    ///
    /// # Errors
    ///
    /// A list that is not JSON, a choice with a criterion that is invalid or unknown or without a config, or an invalid
    /// config in the choice that wins. Configs in other choices are not read: they may be for clients that know more.
    ///
    /// ```
    /// use wireloom::ServiceConfig;
    ///
    /// let records = [
    ///     "v=spf1 -all",
    ///     r#"grpc_config=[
    ///         {"percentage": 10, "serviceConfig": {"healthCheckConfig": {"serviceName": "canary"}}},
    ///         {"serviceConfig": {}}
    ///     ]"#,
    /// ];
    /// let tenth = ServiceConfig::from_dns_txt(records, "host-1", 9)?.unwrap();
    /// assert_eq!(tenth.health_check_service(), Some("canary"));
    /// let others = ServiceConfig::from_dns_txt(records, "host-1", 10)?;
    /// assert_eq!(others, Some(ServiceConfig::default()));
    /// # Ok::<(), wireloom::InvalidServiceConfig>(())
    /// ```
    ///
    /// [gRFC A2]: https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md
    pub fn from_dns_txt<'a>(
        records: impl IntoIterator<Item = &'a str>,
        hostname: &str,
        percentage: u8,
    ) -> Result<Option<Self>, InvalidServiceConfig> {
        let client = dns::Client {
            hostname,
            percentage,
        };
        dns::choose(records, &client)
    }

    /// The config of the method with this path (`/helloworld.Greeter/SayHello`): that of the method, else that of its
    /// service, else that of all methods.
    pub fn method(&self, path: &str) -> Option<&MethodConfig> {
        let service = path.rfind('/').map_or("", |slash| &path[..=slash]);
        let at = [path, service, ""]
            .into_iter()
            .find_map(|path| self.paths.get(path))?;
        self.methods.get(*at)
    }

    /// When calls to the server stop retrying and hedging; `None` is never.
    pub fn retry_throttling(&self) -> Option<RetryThrottling> {
        self.retry_throttling
    }

    /// The first of `loadBalancingConfig` that Wireloom has, or of its `childPolicy` where that is
    /// `outlier_detection_experimental`; `None` where the config names no policy.
    ///
    /// The deprecated `loadBalancingPolicy` counts where `loadBalancingConfig` is absent.
    pub fn load_balancing(&self) -> Option<&LoadBalancing> {
        self.load_balancing.as_ref()
    }

    /// What `outlier_detection_experimental` in `loadBalancingConfig` says ([gRFC A50]); `None` where it is not there.
    ///
    /// [gRFC A50]: https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md
    pub fn outlier_detection(&self) -> Option<&OutlierDetection> {
        self.outlier_detection.as_ref()
    }

    /// The service to ask the server's health of, in `healthCheckConfig`; empty for the server as a whole.
    pub fn health_check_service(&self) -> Option<&str> {
        self.health_check_service.as_deref()
    }
}
