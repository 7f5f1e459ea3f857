//! What a server is told, and the defaults.

use std::time::Duration;

use super::Server;
use crate::{
    interceptor::{Interceptor, Interceptors},
    limits::MAX_RECEIVE_MESSAGE_SIZE,
};

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) interceptors: Interceptors,
    pub(super) shutdown_timeout: Duration,
    pub(super) max_receive_message_size: usize,
    pub(super) max_concurrent_streams: u32,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ServerTls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interceptors: Interceptors::default(),
            shutdown_timeout: Duration::from_secs(30),
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_concurrent_streams: 1024,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Server {
    /// Runs `interceptor` around every handler. The one that is added first is the outermost; see [`Interceptor`].
    ///
    /// [`Interceptor`]: crate::Interceptor
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.options.interceptors.add(interceptor);
        self
    }

    /// How long calls may go on once the server shuts down, before they are cut off with UNAVAILABLE. The default is
    /// 30 seconds; zero cuts them off at once.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.options.shutdown_timeout = timeout;
        self
    }

    /// The largest message that is accepted, in bytes. The default is 4 MiB.
    ///
    /// A service that tonic generated decompresses messages by itself: theirs is the size on the wire, and tonic's own
    /// `max_decoding_message_size`, of 4 MiB as well, holds beside it.
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.options.max_receive_message_size = bytes;
        self
    }

    /// The most calls that one connection may have under way. The default is 1024.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.options.max_concurrent_streams = streams;
        self
    }

    /// Secures connections by TLS; a client in plaintext is not served then. The default is plaintext.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.options.tls = Some(tls);
        self
    }
}
