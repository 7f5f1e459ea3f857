//! Keys that signatures are verified by.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::rust_crypto,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

/// How many keys a set may have: an issuer has a few.
const MOST_KEYS: usize = 100;

/// The least bytes of the modulus of an RSA key: 2048 bits ([RFC 7518, section
/// 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)).
const LEAST_MODULUS: usize = 256;

/// The most bytes of the modulus of an RSA key by which the provider of cryptography that we bring verifies: 4096 bits.
const MOST_MODULUS: usize = 512;

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// A key, and what it may be used for.
#[derive(Debug)]
pub(super) struct Key {
    /// What tokens call it; one without a name may be that of any.
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl KeySet {
    /// Reads a JWKS ([RFC 7517, section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). Keys of kinds and for uses
    /// that are none of ours are left out, and so are secrets, which have no place in a document of public keys.
    ///
    /// # Errors
    ///
    /// Why no key of it can be used.
    pub(super) fn of_jwks(text: &[u8]) -> Result<Self, String> {
        let document: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let Some(listed) = document.get("keys").and_then(Value::as_array) else {
            return Err("it is no JWKS: it must be an object with a list `keys`".to_owned());
        };
        if listed.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let mut keys = Vec::new();
        for (at, key) in listed.iter().enumerate() {
            match of_jwk(key) {
                Ok(key) => keys.push(key),
                Err(reason) => tracing::debug!(
                    target: "wireloom",
                    key = at,
                    reason,
                    "a key of a JWKS is left out"
                ),
            }
        }
        match keys.is_empty() {
            true => Err("it has no key that verifies signatures by RSA (2048 bits or more), P-256, P-384 or Ed25519".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// A public key in PEM.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub(super) fn of_pem(text: &[u8]) -> Result<Self, String> {
        let mark = b"PRIVATE KEY-----";
        if text.windows(mark.len()).any(|window| window == mark) {
            return Err("it is a private key, and a server needs the public one".to_owned());
        }
        let key = DecodingKey::from_rsa_pem(text)
            .or_else(|_| DecodingKey::from_ec_pem(text))
            .or_else(|_| DecodingKey::from_ed_pem(text));
        let key = key.map_err(|_| {
            "it must be a public key of RSA, P-256, P-384 or Ed25519 in PEM, with \"-----BEGIN PUBLIC KEY-----\"".to_owned()
        })?;
        let algorithms = algorithms(&key)?;
        Ok(Self(vec![Key {
            id: None,
            algorithms,
            key,
        }]))
    }

    /// A secret that is shared with the issuer.
    pub(super) fn of_secret(secret: &[u8]) -> Self {
        let key = DecodingKey::from_secret(secret);
        Self(vec![Key {
            id: None,
            algorithms: key.family().algorithms().to_vec(),
            key,
        }])
    }

    /// Whether a key has this name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The names of keys that are too large for the default provider of cryptography.
    pub(super) fn oversized(&self) -> impl Iterator<Item = Option<&str>> {
        let oversized = self.0.iter().filter(|Key { key, .. }| {
            key.family() == AlgorithmFamily::Rsa && size(key) > MOST_MODULUS
        });
        oversized.map(|key| key.id.as_deref())
    }

    /// The keys that a token may be signed by.
    pub(super) fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            let is_named = match (&key.id, id) {
                (Some(of_key), Some(id)) => of_key == id,
                _ => true,
            };
            is_named && key.algorithms.contains(&algorithm)
        })
    }
}

fn of_jwk(value: &Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value.clone())
        .map_err(|_| "it is of no kind that is known".to_owned())?;
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return Err("its use is not signatures".to_owned());
    }
    let operations = &jwk.common.key_operations;
    if operations
        .as_ref()
        .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
    {
        return Err("its operations are not verifying".to_owned());
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
    let of_kind = algorithms(&key)?;
    let is_of_its_curve = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => of_kind == [Algorithm::ES256],
            EllipticCurve::P384 => of_kind == [Algorithm::ES384],
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(parameters) => parameters.curve == EllipticCurve::Ed25519,
        _ => true,
    };
    if !is_of_its_curve {
        return Err(
            "its curve is none of P-256, P-384 and Ed25519, or not that of its size".to_owned(),
        );
    }
    let algorithms = match jwk.common.key_algorithm {
        None => of_kind,
        Some(algorithm) => {
            let only = Algorithm::try_from(algorithm).ok();
            let only = only.filter(|only| of_kind.contains(only));
            vec![only.ok_or("its algorithm is none of its kind, or not for signatures")?]
        }
    };
    Ok(Key {
        id: jwk.common.key_id,
        algorithms,
        key,
    })
}

/// What a key is for by its kind and size. Verification takes it as it is, whatever that leads to.
///
/// # Errors
///
/// Why that is nothing.
fn algorithms(key: &DecodingKey) -> Result<Vec<Algorithm>, &'static str> {
    match (key.family(), size(key)) {
        (AlgorithmFamily::Rsa, ..LEAST_MODULUS) => Err("its modulus has less than 2048 bits"),
        (AlgorithmFamily::Rsa, _) => Ok(AlgorithmFamily::Rsa.algorithms().to_vec()),
        // Points that are not compressed: a byte, and two coordinates.
        (AlgorithmFamily::Ec, 65) => Ok(vec![Algorithm::ES256]),
        (AlgorithmFamily::Ec, 97) => Ok(vec![Algorithm::ES384]),
        (AlgorithmFamily::Ec, _) => Err("its curve is neither P-256 nor P-384"),
        (AlgorithmFamily::Ed, 32) => Ok(vec![Algorithm::EdDSA]),
        (AlgorithmFamily::Ed, _) => Err("it is no key of Ed25519"),
        (AlgorithmFamily::Hmac, _) => Err("it is a secret"),
    }
}

/// The bytes of a key: of its modulus, without leading zeros, if it is one of RSA.
fn size(key: &DecodingKey) -> usize {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            n.iter().skip_while(|byte| **byte == 0).count()
        }
        DecodingKeyKind::SecretOrDer(der) if key.family() == AlgorithmFamily::Rsa => {
            let components = rust_crypto::DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key;
            // What is too large for that provider may suit another.
            components(der).map_or(der.len(), |(modulus, _)| modulus.len())
        }
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
    }
}
