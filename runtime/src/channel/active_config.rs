use std::sync::{Arc, PoisonError, RwLock};

use crate::{client::TokenBucket, service_config::ServiceConfig};

/// A channel's service config, replaced while calls are in flight: a call keeps the one that it started with.
#[derive(Debug)]
pub(super) struct ConfigSlot(RwLock<Arc<ActiveConfig>>);

impl ConfigSlot {
    pub(super) fn new(config: ServiceConfig) -> Self {
        Self(RwLock::new(Arc::new(ActiveConfig::new(config))))
    }

    pub(super) fn current(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, config: ServiceConfig) {
        let config = Arc::new(ActiveConfig::new(config));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// A service config with what it gives its calls in common.
#[derive(Debug)]
pub(crate) struct ActiveConfig {
    pub(crate) config: ServiceConfig,
    /// Fresh for each config, full at its start.
    pub(crate) throttle: Option<Arc<TokenBucket>>,
}

impl ActiveConfig {
    fn new(config: ServiceConfig) -> Self {
        let throttle = config.retry_throttling().map(|throttling| {
            let tokens = throttling.max_tokens_thousandths();
            Arc::new(TokenBucket::new(
                tokens,
                throttling.token_ratio_thousandths(),
            ))
        });
        Self { config, throttle }
    }
}
