//! What a server is told, and the defaults.

use std::time::Duration;

use super::{Server, encoding::ResponseCompression};
use crate::{
    Compression,
    interceptor::{Interceptor, Interceptors},
    limits::MAX_RECEIVE_MESSAGE_SIZE,
};

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) interceptors: Interceptors,
    pub(super) shutdown_timeout: Duration,
    pub(super) max_receive_message_size: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) compression: ResponseCompression,
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
            compression: ResponseCompression::default(),
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

    /// Compresses responses by the first of these that the client accepts (`grpc-accept-encoding`); by none where it accepts
    /// none. The default is none.
    ///
    /// Messages below the [`compression_threshold`](Self::compression_threshold), and those that would not become smaller,
    /// go as they are. A handler decides for one response by inserting a [`Compression`] into its extensions; what the
    /// client does not accept is not used then, either. A service that tonic generated compresses by itself.
    ///
    /// ```
    /// # #[cfg(all(feature = "gzip", feature = "zstd"))] {
    /// use wireloom::{Compression, Response, Server};
    ///
    /// let server = Server::builder().compression([Compression::Zstd, Compression::Gzip]);
    ///
    /// // In a handler, for a message that is compressed already:
    /// let mut response = Response::new(());
    /// response.extensions_mut().insert(Compression::Identity);
    /// # }
    /// ```
    pub fn compression(mut self, preferred: impl IntoIterator<Item = Compression>) -> Self {
        self.options.compression.preferred = preferred.into_iter().collect();
        self
    }

    /// The smallest response message that is compressed, in bytes as encoded. The default is 1024: what is smaller fits one
    /// packet as it is.
    pub fn compression_threshold(mut self, bytes: usize) -> Self {
        self.options.compression.threshold = bytes;
        self
    }

    /// Secures connections by TLS; a client in plaintext is not served then. The default is plaintext.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.options.tls = Some(tls);
        self
    }
}
