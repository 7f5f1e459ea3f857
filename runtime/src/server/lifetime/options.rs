use std::time::Duration;

use crate::{heard::Heard, server::Server};

/// How long connections last. [`Duration::MAX`] is no limit.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct LifetimeLimits {
    pub(in crate::server) max_age: Duration,
    pub(in crate::server) max_age_grace: Duration,
    pub(in crate::server) max_idle: Duration,
    pub(in crate::server) keepalive_time: Duration,
    pub(in crate::server) keepalive_timeout: Duration,
}

impl Default for LifetimeLimits {
    fn default() -> Self {
        Self {
            max_age: Duration::MAX,
            max_age_grace: Duration::MAX,
            max_idle: Duration::MAX,
            keepalive_time: Duration::from_secs(2 * 60 * 60),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}

impl LifetimeLimits {
    /// What notes when something comes in, where somebody wants to know.
    pub(in crate::server) fn heard(&self) -> Option<Heard> {
        (self.keepalive_time < Duration::MAX).then(Heard::new)
    }
}

impl Server {
    /// How old a connection gets before its peer is told to go away (gRFC A9), so that clients look again where to connect.
    /// The age is a tenth less or more, at random for each. No limit by default, as [`Duration::MAX`] is; zero
    /// fails `serve` with INVALID_ARGUMENT.
    ///
    /// Calls go on for [`max_connection_age_grace`](Self::max_connection_age_grace).
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.options.lifetime.max_age = age;
        self
    }

    /// How long calls may go on once their connection is too old or was idle for too long, before they are cut off with
    /// UNAVAILABLE (gRFC A9). No limit by default, as [`Duration::MAX`] is.
    pub fn max_connection_age_grace(mut self, grace: Duration) -> Self {
        self.options.lifetime.max_age_grace = grace;
        self
    }

    /// How long a connection may be without a call, counted from the end of the last one, before its peer is told to go away
    /// (gRFC A9). No limit by default, as [`Duration::MAX`] is; zero fails `serve` with INVALID_ARGUMENT.
    pub fn max_connection_idle(mut self, time: Duration) -> Self {
        self.options.lifetime.max_idle = time;
        self
    }

    /// How long a peer may be silent before it is pinged (gRFC A9). The default is 2 hours; less than a second is a second, and
    /// [`Duration::MAX`] is never.
    pub fn keepalive(mut self, time: Duration) -> Self {
        self.options.lifetime.keepalive_time = time;
        self
    }

    /// How long a peer that was pinged may go on being silent before its connection is closed (gRFC A9). The default is 20
    /// seconds; zero fails `serve` with INVALID_ARGUMENT.
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.options.lifetime.keepalive_timeout = timeout;
        self
    }
}
