//! Bearer tokens that are JWTs ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)): who calls, by a token that an issuer
//! signed.
//!
//! ```no_run
//! # fn example() -> Result<(), wireloom::Status> {
//! use wireloom::{Server, jwt::{JwtAuthenticator, Keys}};
//!
//! let keys = Keys::url("https://issuer.example.com/.well-known/jwks.json");
//! let tokens = JwtAuthenticator::builder(keys)
//!     .issuer("https://issuer.example.com/")
//!     .audience("tasks")
//!     .build()?;
//! let server = Server::builder().authenticator(tokens);
//! # Ok(())
//! # }
//! ```
//!
//! A handler finds the [`Claims`] in its request's extensions, and the [`Caller`] with the subject and the
//! scopes.
//!
//! Tokens are read and verified by the crate `jsonwebtoken`; where the application installed no provider of cryptography for
//! that crate, with its `rust_crypto`.

mod algorithm;
mod bearer;
mod builder;
mod cache;
mod claims;
mod fetch;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod key_set;
mod keys;
mod oversized;
mod remote;
mod source;
#[cfg(test)]
mod tests;
mod verify;

use tonic::{Code, Status};

pub use self::algorithm::Algorithm;
pub use self::builder::JwtBuilder;
pub use self::claims::Claims;
pub use self::keys::Keys;
use self::{
    cache::Cache,
    source::Source,
    verify::{Failure, Verifier},
};
use crate::authentication::{AuthenticationRequest, Authenticator, Caller};

/// Knows callers by bearer tokens that are JWTs, in the metadata `authorization`. Made by a
/// [builder](JwtAuthenticator::builder); see the [module](self).
///
/// A token that has been verified is remembered until it expires or keys change, up to some two thousand of them, so that a
/// caller's next calls cost no cryptography.
#[derive(Debug)]
pub struct JwtAuthenticator {
    source: Source,
    verifier: Verifier,
    cache: Cache,
}

impl JwtAuthenticator {
    /// Starts an authenticator of tokens that are signed by one of these keys.
    pub fn builder(keys: Keys) -> JwtBuilder {
        JwtBuilder::new(keys)
    }

    async fn verify(&self, token: &str) -> Result<Caller, Failure> {
        let remembered = self.cache.get(token);
        if remembered.is_none() {
            // Of another issuer's token nothing depends on whether the keys of this one can be had.
            self.verifier.check_issuer(token)?;
        }
        let keys = self.source.keys().await?;
        if let Some(caller) = remembered.and_then(|entry| entry.caller_by(&keys)) {
            return Ok(caller);
        }
        let (verified, keys) = match self.verifier.verify(token, &keys) {
            Err(Failure::UnknownKey) => {
                // The issuer may have begun to sign by another key.
                let newer = self.source.newer_keys(&keys).await;
                let newer = newer.ok_or(Failure::UnknownKey)?;
                (self.verifier.verify(token, &newer)?, newer)
            }
            verified => (verified?, keys),
        };
        self.cache.insert(token, &keys, &verified);
        Ok(verified.caller)
    }
}

impl Authenticator for JwtAuthenticator {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Caller>, Status> {
        let Some(token) = bearer::token(request.metadata())? else {
            return Ok(None);
        };
        let verified = self.verify(token).await;
        verified.map(Some).map_err(|failure| {
            let status = failure.status();
            if status.code() == Code::Unauthenticated {
                tracing::debug!(
                    target: "wireloom",
                    method = request.full_name(),
                    reason = %failure,
                    "a bearer token is not valid"
                );
            }
            status
        })
    }
}
