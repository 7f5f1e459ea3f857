//! The service config that a channel's calls follow.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::Status;

use crate::{
    client::TokenBucket,
    policy::RetryThrottling,
    service_config::{InvalidServiceConfig, ServiceConfig},
    status,
};

/// A channel's service config, replaced while calls are in flight: a call keeps the one that it started with.
#[derive(Debug)]
pub(super) struct ConfigSlot(watch::Sender<Arc<ActiveConfig>>);

impl ConfigSlot {
    /// A slot with the channel's default config, if it has one.
    pub(super) fn new(default: Option<ServiceConfig>) -> Self {
        let given = default.is_some();
        let config = ActiveConfig {
            given,
            ..ActiveConfig::new(default.unwrap_or_default())
        };
        Self(watch::Sender::new(Arc::new(config)))
    }

    pub(super) fn current(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.0.borrow())
    }

    /// Takes a config, or what was wrong with one: then the one before stays, and where there is none, calls fail
    /// ([gRFC A21]).
    ///
    /// [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md
    pub(super) fn update(&self, update: Result<ServiceConfig, InvalidServiceConfig>) {
        self.0.send_if_modified(|current| {
            *current = Arc::new(match update {
                Ok(config) => ActiveConfig::new(config),
                Err(_) if current.given => return false,
                Err(invalid) => ActiveConfig {
                    given: false,
                    failure: Some(Status::unavailable(invalid.to_string())),
                    ..ActiveConfig::new(ServiceConfig::default())
                },
            });
            true
        });
    }

    /// Whether calls can be made by the current config.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE, with what is wrong with the only one that there is.
    pub(super) fn check(&self) -> Result<(), Status> {
        match &self.0.borrow().failure {
            None => Ok(()),
            Some(failure) => Err(status::copy(failure)),
        }
    }

    /// Waits until there is a valid config.
    pub(super) async fn valid(&self) {
        let mut config = self.0.subscribe();
        let valid = config.wait_for(|config| config.is_valid()).await;
        valid.map(drop).expect("the slot holds the sender")
    }
}

/// A service config with what it gives its calls in common.
#[derive(Debug)]
pub(crate) struct ActiveConfig {
    pub(crate) config: ServiceConfig,
    /// Fresh for each config, full at its start.
    pub(crate) throttle: Option<Arc<TokenBucket>>,
    /// Whether somebody gave the config, so that it is worth keeping when an update is invalid.
    given: bool,
    /// Why no call can be made: there is no config but an invalid one.
    failure: Option<Status>,
}

impl ActiveConfig {
    /// Whether calls can be made by it.
    pub(crate) fn is_valid(&self) -> bool {
        self.failure.is_none()
    }

    fn new(config: ServiceConfig) -> Self {
        Self {
            throttle: config.retry_throttling().map(bucket),
            config,
            given: true,
            failure: None,
        }
    }
}

pub(super) fn bucket(throttling: RetryThrottling) -> Arc<TokenBucket> {
    Arc::new(TokenBucket::new(
        throttling.max_tokens_thousandths(),
        throttling.token_ratio_thousandths(),
    ))
}
