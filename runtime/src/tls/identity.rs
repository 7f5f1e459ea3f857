use std::path::PathBuf;

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tonic::Status;

use super::pem::{Files, Pem};

/// What one side proves itself by: a chain of certificates, its own first, and the private key of the first.
///
/// Keys are PKCS#8, PKCS#1 (RSA) or SEC1 (EC), in PEM and not encrypted. Both may be in one file.
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Pem,
    key: Pem,
}

impl Identity {
    /// Of PEM files, read again when they have changed.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            chain: Pem::File(chain.into()),
            key: Pem::File(key.into()),
        }
    }

    /// Of PEM texts.
    pub fn pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self {
            chain: Pem::Text(chain.as_ref().into()),
            key: Pem::Text(key.as_ref().into()),
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        [&self.chain, &self.key]
            .into_iter()
            .filter_map(|pem| pem.path().map(PathBuf::from))
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read, is no PEM, or does not fit together.
    pub(super) fn certified_key(
        &self,
        files: &Files,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, Status> {
        let Self { chain, key } = self;
        let certificates = certificates(chain, files)?;
        let private_key = private_key(key, files)?;
        CertifiedKey::from_der(certificates, private_key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Status::invalid_argument(format!(
                "the private key in {key} is not that of the first certificate in {chain}: give the two that were \
                 made together, the server's or client's own certificate before those of its issuers"
            )),
            rustls::Error::InvalidCertificate(error) => Status::invalid_argument(format!(
                "the first certificate in {chain} cannot be used: {error}"
            )),
            error => Status::invalid_argument(format!(
                "the private key in {key} cannot be used: {error}"
            )),
        })
    }
}

/// The certificates in `pem`, of which there is at least one.
pub(super) fn certificates(
    pem: &Pem,
    files: &Files,
) -> Result<Vec<CertificateDer<'static>>, Status> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text(files)?).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(Status::invalid_argument(format!(
            "there is no certificate in {pem}: it must be PEM, with \"-----BEGIN CERTIFICATE-----\" (of DER, `openssl \
             x509 -inform der` makes it)"
        ))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(broken(pem, &error)),
    }
}

fn private_key(pem: &Pem, files: &Files) -> Result<PrivateKeyDer<'static>, Status> {
    use rustls::pki_types::pem::Error;

    let text = pem.text(files)?;
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) if is_encrypted(text) => Err(Status::invalid_argument(format!(
            "the private key in {pem} is encrypted, and there is nobody to ask for its password: decrypt it, as by \
             `openssl pkey`, and guard the file"
        ))),
        Err(Error::NoItemsFound) => Err(Status::invalid_argument(format!(
            "there is no private key in {pem}: it must be PEM, with \"-----BEGIN PRIVATE KEY-----\", or RSA or EC \
             before PRIVATE"
        ))),
        Err(error) => Err(broken(pem, &error)),
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    let mark = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(mark.len()).any(|window| window == mark)
}

fn broken(pem: &Pem, error: &rustls::pki_types::pem::Error) -> Status {
    Status::invalid_argument(format!("{pem} is no valid PEM: {error}"))
}
