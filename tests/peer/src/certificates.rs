//! Certificates for tests: an authority, and what it signs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
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
    serial: SerialNumber,
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

    fn sign(&self, mut params: CertificateParams) -> Certified {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SerialNumber::from(SERIAL.fetch_add(1, Ordering::Relaxed));
        params.serial_number = Some(serial.clone());
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer);
        Certified {
            chain: certificate.expect("the authority can sign").pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// The list of those it has revoked, in PEM.
    pub fn revocation_list(&self, revoked: &[&Certified]) -> String {
        let revoked = revoked.iter().map(|certified| RevokedCertParams {
            serial_number: certified.serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list
            .signed_by(&self.issuer)
            .expect("the authority can sign");
        list.pem().expect("it is PEM")
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
