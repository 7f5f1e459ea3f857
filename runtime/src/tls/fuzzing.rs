//! Names of certificates, for the fuzz targets.

use rustls::pki_types::CertificateDer;

use super::PeerIdentity;
use crate::authorization::identities;

/// The identity that a certificate in DER is for, which was verified or not.
pub fn read_certificate(der: &[u8]) -> Option<PeerIdentity> {
    PeerIdentity::new(Some(&[CertificateDer::from(der.to_vec())]))
}

/// Whether a method may have this pattern of those who may call it.
pub fn is_pattern(pattern: &str) -> bool {
    identities::check(pattern).is_ok()
}

/// Whether a pattern allows a DNS name.
pub fn allows_dns_name(pattern: &str, name: &str) -> bool {
    identities::allows_dns_name(pattern, name)
}

/// Whether a pattern allows a URI.
pub fn allows_uri(pattern: &str, uri: &str) -> bool {
    identities::allows_uri(pattern, uri)
}
