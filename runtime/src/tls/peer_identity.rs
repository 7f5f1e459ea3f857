use std::{fmt, sync::Arc};

use rustls::pki_types::CertificateDer;

/// Whose call it is: what the certificate says that the client proved itself by (mTLS).
///
/// It is in the extensions of a [`Request`](crate::Request), and in those that interceptors see, where the server
/// [takes client certificates](super::ServerTls::client_certificates) and the client had one. The certificate has been
/// verified: it leads to the roots, and its time is now.
///
/// ```
/// # use wireloom::{Request, Status, tls::PeerIdentity};
/// fn check<T>(request: &Request<T>) -> Result<(), Status> {
///     let identity = request.extensions().get::<PeerIdentity>();
///     let known = identity.is_some_and(|peer| peer.dns_names().any(|name| name == "billing.internal"));
///     if known { Ok(()) } else { Err(Status::permission_denied("billing only")) }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PeerIdentity(Arc<[CertificateDer<'static>]>);

impl PeerIdentity {
    /// `None` where the peer showed no certificate.
    pub(super) fn new(certificates: Option<&[CertificateDer<'static>]>) -> Option<Self> {
        certificates
            .filter(|certificates| !certificates.is_empty())
            .map(|certificates| Self(certificates.into()))
    }

    /// The chain of certificates in DER, the peer's own first.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The DNS names among the subject's alternative names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        let names = self
            .own()
            .map(|own| own.valid_dns_names().collect::<Vec<_>>());
        names.unwrap_or_default().into_iter()
    }

    /// The URIs among the subject's alternative names, such as a SPIFFE ID (`spiffe://example.org/billing`).
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let names = self
            .own()
            .map(|own| own.valid_uri_names().collect::<Vec<_>>());
        names.unwrap_or_default().into_iter()
    }

    /// The peer's own certificate; it was parsed before, when it was verified.
    fn own(&self) -> Option<webpki::EndEntityCert<'_>> {
        let own = self.0.first()?;
        webpki::EndEntityCert::try_from(own).ok()
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerIdentity")
            .field("dns_names", &self.dns_names().collect::<Vec<_>>())
            .field("uris", &self.uris().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
