//! Certificates for tests: an authority, and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, in PEM.
pub struct Certified {
    /// The certificate.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// Where a test wrote a [`Certified`].
#[derive(Clone, Debug)]
pub struct CertifiedFiles {
    /// The certificate's file.
    pub chain: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key();
        let certificate = params.self_signed(&key).expect("it can sign itself").pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Its certificate, in PEM: the root that those who trust it have.
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    /// A certificate for DNS names, IP addresses and URIs.
    pub fn issue(&self, names: &[&str]) -> Certified {
        self.sign(params(names))
    }

    /// A certificate that was good once.
    pub fn issue_expired(&self, names: &[&str]) -> Certified {
        let mut params = params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certified {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer);
        Certified {
            chain: certificate.expect("the authority can sign").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Certified {
    /// Writes it to `folder`, over what was there under the same name.
    pub fn write(&self, folder: &Path, name: &str) -> CertifiedFiles {
        let files = CertifiedFiles {
            chain: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.chain, &self.chain).expect("the folder takes files");
        std::fs::write(&files.key, &self.key).expect("the folder takes files");
        files
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let (uris, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains(':'));
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).expect("names of a test are names");
    for uri in uris {
        let uri = uri.try_into().expect("URIs of a test are ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
    }
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}
