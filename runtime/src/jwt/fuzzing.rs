//! The readers of tokens and keys, for the fuzz targets.

use std::time::Duration;

use jsonwebtoken::crypto::rust_crypto;
use tonic::{Status, metadata::MetadataMap};

use super::{
    Algorithm, Claims, bearer,
    key_set::KeySet,
    verify::{Verifier, validation},
};

/// Reads `authorization`.
pub fn read_bearer(metadata: &MetadataMap) -> Result<Option<&str>, Status> {
    bearer::token(metadata)
}

/// Reads a JWKS, and counts the algorithms that it has a key for.
pub fn read_jwks(text: &[u8]) -> Result<usize, String> {
    let keys = KeySet::of_jwks(text)?;
    let algorithms = Algorithm::PUBLIC.into_iter();
    let has_key = |one: &Algorithm| keys.candidates(None, one.read()).next().is_some();
    Ok(algorithms.filter(has_key).count())
}

/// Verifies a token by the keys of a JWKS, of any issuer and for any audience.
pub fn verify_by_jwks(text: &[u8], token: &str) -> Result<Claims, String> {
    verify(&Algorithm::PUBLIC, token, &KeySet::of_jwks(text)?)
}

/// Verifies a token that is signed by a secret, with HS256, of any issuer and for any audience.
pub fn verify_by_secret(secret: &[u8], token: &str) -> Result<Claims, String> {
    verify(&[Algorithm::Hs256], token, &KeySet::of_secret(secret))
}

fn verify(algorithms: &[Algorithm], token: &str, keys: &KeySet) -> Result<Claims, String> {
    let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
    let verifier = Verifier {
        algorithms: algorithms.iter().map(|one| one.read()).collect(),
        validation: validation(&[], &[], Duration::from_secs(60)),
        scope_claims: Vec::new(),
    };
    let verified = verifier.verify(token, keys);
    let verified = verified.map_err(|failure| failure.to_string())?;
    let mut extensions = http::Extensions::new();
    verified.caller.extend(&mut extensions);
    extensions
        .remove()
        .ok_or_else(|| "it has no claims".to_owned())
}
