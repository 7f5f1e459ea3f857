use std::time::Duration;

use jsonwebtoken::crypto::rust_crypto;
use tonic::Status;

use super::{
    Algorithm, JwtAuthenticator, Keys,
    cache::Cache,
    verify::{Verifier, validation},
};

/// How tokens are verified. Made by [`JwtAuthenticator::builder`].
///
/// Whose tokens and whose audience are asked for, since both have no default that is safe: [`issuer`](Self::issuer) and
/// [`audience`](Self::audience), or [`any_issuer`](Self::any_issuer) and [`any_audience`](Self::any_audience).
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct JwtBuilder {
    keys: Keys,
    issuers: Vec<String>,
    audiences: Vec<String>,
    any_issuer: bool,
    any_audience: bool,
    clock_skew: Duration,
    algorithms: Option<Vec<Algorithm>>,
    scope_claims: Vec<String>,
}

/// More than clocks differ by.
const MOST_SKEW: Duration = Duration::from_secs(600);

impl JwtBuilder {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            issuers: Vec::new(),
            audiences: Vec::new(),
            any_issuer: false,
            any_audience: false,
            clock_skew: Duration::from_secs(60),
            algorithms: None,
            scope_claims: Vec::new(),
        }
    }

    /// Takes tokens of this issuer (`iss`), compared as it is written: a slash at the end matters. Called again, of several.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Takes tokens of whoever has one of the keys.
    pub fn any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Takes tokens that are for this audience (`aud`), be it one of several there. Called again, for any of these.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Takes tokens that are for others, too: whoever gets to see a token can use it here.
    pub fn any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// How far clocks may differ, by which tokens are taken longer (`exp`) and earlier (`nbf`). The default is 60 seconds, the
    /// most 10 minutes.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// The algorithms that tokens may be signed by. The default is all of public keys, and of a
    /// [secret](Keys::secret) HS256; each key is used for its own alone, whatever a token says.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// The claim that holds scopes, a text with spaces or a list, in place of `scope` and `scp`; called again, of several.
    pub fn scope_claim(mut self, claim: impl Into<String>) -> Self {
        self.scope_claims.push(claim.into());
        self
    }

    /// Makes the authenticator. Keys of a URL are not fetched yet; those of a file are read.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for keys that cannot be read or used, and for what is missing or does not fit together.
    pub fn build(self) -> Result<JwtAuthenticator, Status> {
        let refuse = |why: &str| Err(Status::invalid_argument(why));
        if self.issuers.is_empty() != self.any_issuer {
            return refuse(
                "tokens need an issuer, by `JwtBuilder::issuer`, or else `JwtBuilder::any_issuer`",
            );
        }
        if self.audiences.is_empty() != self.any_audience {
            return refuse(
                "tokens need an audience, by `JwtBuilder::audience`, or else `JwtBuilder::any_audience`",
            );
        }
        if self.clock_skew > MOST_SKEW {
            return refuse("the clock skew of tokens must be at most 10 minutes");
        }
        let are_secret = self.keys.are_secret();
        let algorithms = self.algorithms.unwrap_or_else(|| match are_secret {
            true => vec![Algorithm::Hs256],
            false => Algorithm::PUBLIC.into(),
        });
        if algorithms.is_empty() {
            return refuse("tokens need an algorithm: one at least must be allowed");
        }
        // Or a public key, which all may know, could be used as a secret.
        if algorithms
            .iter()
            .any(|one| one.is_of_secret() != are_secret)
        {
            return refuse(
                "Hs256, Hs384 and Hs512 are for a secret, and the other algorithms for public keys: they must not be mixed",
            );
        }
        // Where the application installed another, that one stays.
        let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
        Ok(JwtAuthenticator {
            source: self.keys.source()?,
            verifier: Verifier {
                algorithms: algorithms.into_iter().map(Algorithm::read).collect(),
                validation: validation(&self.issuers, &self.audiences, self.clock_skew),
                scope_claims: self.scope_claims,
            },
            cache: Cache::default(),
        })
    }
}
