use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use rustls::RootCertStore;
use tonic::Status;

use super::{
    identity::certificates,
    pem::{Files, Pem},
};

/// The certificates of issuers whose signatures are trusted.
#[derive(Clone, Debug)]
pub struct Roots(Vec<Root>);

#[derive(Clone, Debug)]
enum Root {
    System,
    Pem(Pem),
}

impl Roots {
    /// Those of the system, or of the file or folder that the variables SSL_CERT_FILE and SSL_CERT_DIR name. They are
    /// read once in a process.
    pub fn system() -> Self {
        Self(vec![Root::System])
    }

    /// Those of a PEM file, read again when it has changed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(vec![Root::Pem(Pem::File(path.into()))])
    }

    /// Those of a PEM text.
    pub fn pem(text: impl AsRef<[u8]>) -> Self {
        Self(vec![Root::Pem(Pem::Text(text.as_ref().into()))])
    }

    /// These and `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.0.iter().filter_map(|root| match root {
            Root::System => None,
            Root::Pem(pem) => pem.path().map(PathBuf::from),
        })
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read, or holds no certificate that can be used.
    pub(super) fn store(&self, files: &Files) -> Result<Arc<RootCertStore>, Status> {
        if let [Root::System] = self.0[..] {
            return system();
        }
        let mut store = RootCertStore::empty();
        for root in &self.0 {
            match root {
                Root::System => store.roots.extend_from_slice(&system()?.roots),
                Root::Pem(pem) => {
                    let (added, ignored) =
                        store.add_parsable_certificates(certificates(pem, files)?);
                    if added == 0 {
                        return Err(Status::invalid_argument(format!(
                            "no certificate in {pem} can be used as a root: {ignored} are no valid X.509"
                        )));
                    }
                }
            }
        }
        Ok(Arc::new(store))
    }
}

#[cfg(feature = "jwt")]
impl Roots {
    /// The certificates, as they are now.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read, or holds no certificate.
    pub(crate) fn certificates(
        &self,
    ) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Status> {
        let files = Files::read(&self.paths().collect::<Vec<_>>());
        let mut all = Vec::new();
        for root in &self.0 {
            match root {
                Root::System => {
                    // It says what to do where there are none.
                    system()?;
                    all.extend(rustls_native_certs::load_native_certs().certs);
                }
                Root::Pem(pem) => all.extend(certificates(pem, &files)?),
            }
        }
        Ok(all)
    }
}

/// The system's roots, which are some hundred and are parsed once.
fn system() -> Result<Arc<RootCertStore>, Status> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(store) = SYSTEM.get() {
        return Ok(Arc::clone(store));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(Status::invalid_argument(format!(
            "the system has no root certificates: install them (the package ca-certificates), name a PEM file by the \
             variable SSL_CERT_FILE, or give roots by `ClientTls::roots` {errors:?}"
        )));
    }
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(store))))
}
