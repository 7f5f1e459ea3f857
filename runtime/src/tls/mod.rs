//! Transport security, by rustls: who the peer is, and that nobody else reads or changes what passes.
//!
//! - [`ClientTls`] is a channel's side, given to [`ChannelBuilder::tls`](crate::ChannelBuilder::tls); an `https://`
//!   target has it with the system's roots.
//! - [`ServerTls`] is a server's side, given to [`Server::tls`](crate::Server::tls).
//!
//! Both speak TLS 1.2 or newer and insist on HTTP/2 by ALPN, as gRPC does. Certificates, keys and roots that are given
//! as files are read again when they have changed: handshakes from then on use the new ones, and connections that are
//! there stay. A file that cannot be used is told of by a `warn` event, and what was good before it stays in use.
//!
//! The cryptography is the one that the application installed as rustls's process default
//! (`CryptoProvider::install_default`), and `ring` where it installed none.

mod client;
mod failure;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod identity;
mod peer_identity;
mod pem;
mod reload;
mod revocation;
mod roots;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::{SupportedProtocolVersion, crypto::CryptoProvider, version};
use tonic::Status;

pub use self::client::ClientTls;
pub(crate) use self::client::Connector;
pub(crate) use self::failure::{is_alert, refused};
pub use self::identity::Identity;
pub use self::peer_identity::PeerIdentity;
pub use self::roots::Roots;
pub(crate) use self::server::{Acceptor, Alpn};
pub use self::server::{ClientCertificates, ServerTls};
#[cfg(feature = "jwt")]
pub(crate) use self::{pem::Files, reload::Reloading};

/// What both sides insist on in ALPN.
const H2: &[u8] = b"h2";

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// This version and those after it.
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &FROM_12,
            Self::Tls13 => &FROM_12[..1],
        }
    }
}

/// The application's cryptography, or `ring`: it builds in nine seconds where aws-lc-rs takes fifty, and whoever wants
/// another (FIPS, post-quantum key exchange) installs that.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    match CryptoProvider::get_default() {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(rustls::crypto::ring::default_provider()),
    }
}

fn unusable_provider(error: &rustls::Error) -> Status {
    Status::invalid_argument(format!(
        "the process's default CryptoProvider of rustls cannot be used for the versions of TLS that are asked for: {error}"
    ))
}
