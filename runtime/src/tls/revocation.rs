//! Certificates that their issuers revoked.

use std::path::Path;

use rustls::pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use tonic::Status;

use super::pem::Files;

/// The revocation lists in a PEM file, of which there is at least one.
///
/// # Errors
///
/// INVALID_ARGUMENT for what cannot be read, or holds none.
pub(super) fn lists(
    path: &Path,
    files: &Files,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Status> {
    let text = files.text(path)?;
    let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text).collect();
    let path = path.display();
    match read {
        Ok(lists) if lists.is_empty() => Err(Status::invalid_argument(format!(
            "there is no revocation list in {path}: it must be PEM, with \"-----BEGIN X509 CRL-----\" (of DER, `openssl crl \
             -inform der` makes it)"
        ))),
        Ok(lists) => Ok(lists),
        Err(error) => Err(Status::invalid_argument(format!(
            "{path} is no valid PEM: {error}"
        ))),
    }
}
