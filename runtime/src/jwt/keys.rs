use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tonic::Status;

use super::{fetch::Fetch, key_set::KeySet, oversized::Oversized, remote::Remote, source::Source};
use crate::tls::{Files, Reloading, Roots};

/// The keys by which tokens are verified, and where they come from.
#[derive(Clone, Debug)]
#[must_use = "they do nothing until an authenticator has them"]
pub struct Keys {
    origin: Origin,
    refresh_interval: Option<Duration>,
    roots: Roots,
    plaintext: Plaintext,
}

#[derive(Clone)]
enum Origin {
    Url(String),
    File(PathBuf),
    Jwks(Arc<[u8]>),
    Pem(Arc<[u8]>),
    Secret(Arc<[u8]>),
}

/// Whether keys may come over `http://`, by a machine in between who likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plaintext {
    /// From this machine alone.
    Loopback,
    /// From anywhere.
    Allowed,
}

/// How old keys of a URL get, where nothing else is said.
const OF_URL: Duration = Duration::from_secs(600);
/// How often a file is looked at.
const OF_FILE: Duration = Duration::from_secs(10);

/// The least bytes of a secret: as many as SHA-256 has ([RFC 7518, section
/// 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
const LEAST_SECRET: usize = 32;

impl Keys {
    /// Those of a JWKS that an issuer publishes, such as `https://issuer.example.com/.well-known/jwks.json`; the issuer's
    /// `/.well-known/openid-configuration` says where it is (`jwks_uri`).
    ///
    /// They are fetched when the issuer's first token comes, and again when they are [10 minutes old](Self::refresh_interval)
    /// or a token is of a key that is not among them, at most once in 10 seconds. A fetch that fails changes nothing: the keys
    /// that were there stay, and one `warn` event says so. Where there have been none, calls fail with UNAVAILABLE.
    ///
    /// A proxy is taken from the environment (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), but for `http://` from this
    /// machine. The address must be `https://`; `http://` is for this machine
    /// (`localhost`, 127.0.0.1, `[::1]`), or by [`allow_plaintext`](Self::allow_plaintext).
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Origin::Url(url.into()))
    }

    /// Those of a file with a JWKS, read again when it has changed; see "Files that change" of the guide to security.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(path.into()))
    }

    /// Those of a JWKS.
    pub fn jwks(text: impl AsRef<[u8]>) -> Self {
        Self::new(Origin::Jwks(text.as_ref().into()))
    }

    /// One public key in PEM: of RSA, P-256, P-384 or Ed25519.
    pub fn pem(text: impl AsRef<[u8]>) -> Self {
        Self::new(Origin::Pem(text.as_ref().into()))
    }

    /// A secret that the issuer has, too, of 32 bytes or more: for HS256, HS384 and HS512, which are for no other keys. Who
    /// has it can make tokens.
    pub fn secret(secret: impl AsRef<[u8]>) -> Self {
        Self::new(Origin::Secret(secret.as_ref().into()))
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            refresh_interval: None,
            roots: Roots::system(),
            plaintext: Plaintext::Loopback,
        }
    }

    /// How old keys of a URL get before they are fetched again, or how often a file is looked at, at most: 10 minutes and 10
    /// seconds, where nothing else is said. A URL is asked once in 10 seconds at most. It says nothing of keys that are given.
    pub fn refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = Some(interval);
        self
    }

    /// Whom the server of a URL must be vouched for by. The default is the system's roots.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Lets a URL be `http://` of another machine. Whoever can change what passes then can make tokens.
    pub fn allow_plaintext(mut self) -> Self {
        self.plaintext = Plaintext::Allowed;
        self
    }

    pub(super) fn are_secret(&self) -> bool {
        matches!(self.origin, Origin::Secret(_))
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read or used.
    pub(super) fn source(self) -> Result<Source, Status> {
        let interval = |default| self.refresh_interval.unwrap_or(default);
        match &self.origin {
            Origin::Url(url) => {
                let fetch = Fetch::new(url, &self.roots, self.plaintext)?;
                Ok(Source::Remote(Arc::new(Remote::new(
                    fetch,
                    interval(OF_URL),
                ))))
            }
            Origin::File(path) => {
                let read = path.clone();
                let oversized = Oversized::default();
                let make = move |files: &Files| {
                    let text = files.text(&read)?;
                    let keys = KeySet::of_jwks(text);
                    let keys = keys.map_err(|reason| unusable(&read.display(), &reason))?;
                    oversized.warn(&keys);
                    Ok(keys)
                };
                let keys = Reloading::new([path.clone()], interval(OF_FILE), make)?;
                Ok(Source::File(Box::new(keys)))
            }
            Origin::Jwks(text) => given("the JWKS that is given", KeySet::of_jwks(text)),
            Origin::Pem(text) => given("the PEM text that is given", KeySet::of_pem(text)),
            Origin::Secret(secret) if secret.len() < LEAST_SECRET => {
                Err(Status::invalid_argument(format!(
                    "the secret of tokens has {} bytes, and must have {LEAST_SECRET} or more",
                    secret.len()
                )))
            }
            Origin::Secret(secret) => given("the secret", Ok(KeySet::of_secret(secret))),
        }
    }
}

fn given(what: &str, keys: Result<KeySet, String>) -> Result<Source, Status> {
    let keys = keys.map_err(|reason| unusable(&what, &reason))?;
    Oversized::default().warn(&keys);
    Ok(Source::Given(Arc::new(keys)))
}

fn unusable(what: &dyn fmt::Display, reason: &str) -> Status {
    Status::invalid_argument(format!("{what} cannot be used to verify tokens: {reason}"))
}

/// Without keys, of which one may be a secret.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.debug_tuple("Url").field(url).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Jwks(_) => f.write_str("Jwks"),
            Self::Pem(_) => f.write_str("Pem"),
            Self::Secret(_) => f.write_str("Secret"),
        }
    }
}
