use http::Extensions;

use super::listener::PeerAddr;
#[cfg(feature = "tls")]
use crate::tls::PeerIdentity;

/// What is known of the peer of a connection, and of each of its calls.
#[derive(Debug)]
pub(super) struct Peer {
    addr: PeerAddr,
    #[cfg(feature = "tls")]
    identity: Option<PeerIdentity>,
}

impl Peer {
    pub(super) fn new(addr: PeerAddr) -> Self {
        Self {
            addr,
            #[cfg(feature = "tls")]
            identity: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_identity(addr: PeerAddr, identity: Option<PeerIdentity>) -> Self {
        Self { addr, identity }
    }

    pub(super) fn addr(&self) -> PeerAddr {
        self.addr
    }

    /// Puts it where handlers and interceptors find it.
    pub(super) fn extend(&self, extensions: &mut Extensions) {
        extensions.insert(self.addr);
        #[cfg(feature = "tls")]
        if let Some(identity) = &self.identity {
            extensions.insert(identity.clone());
        }
    }
}
