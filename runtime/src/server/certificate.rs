//! Whose client certificate a call came with.

use http::request::Parts;

use super::{listener::Listeners, options::Options};

/// Whether calls of a server may come with a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certificates {
    Never,
    Possible,
}

impl Certificates {
    /// Of a server that listens, or of one that calls reach otherwise.
    pub(super) fn of(options: &Options, listeners: Option<&Listeners>) -> Self {
        let of_listeners = listeners.is_some_and(Listeners::take_client_certificates);
        match of_listeners || options.take_client_certificates() {
            true => Self::Possible,
            false => Self::Never,
        }
    }
}

/// What a client proved itself by (mTLS).
#[cfg(feature = "tls")]
pub(super) struct Certificate<'a>(&'a crate::tls::PeerIdentity);

#[cfg(feature = "tls")]
impl<'a> Certificate<'a> {
    pub(super) fn of(head: &'a Parts) -> Option<Self> {
        head.extensions.get().map(Self)
    }

    /// Whether it is for a name that `pattern` allows.
    pub(super) fn is(&self, pattern: &str) -> bool {
        use crate::authorization::identities;

        let mut names = self.0.dns_names();
        let mut uris = self.0.uris();
        names.any(|name| identities::allows_dns_name(pattern, name))
            || uris.any(|uri| identities::allows_uri(pattern, uri))
    }
}

/// Without TLS there are none.
#[cfg(not(feature = "tls"))]
pub(super) struct Certificate<'a>(std::convert::Infallible, std::marker::PhantomData<&'a ()>);

#[cfg(not(feature = "tls"))]
impl<'a> Certificate<'a> {
    pub(super) fn of(_: &'a Parts) -> Option<Self> {
        None
    }

    pub(super) fn is(&self, _: &str) -> bool {
        match self.0 {}
    }
}
