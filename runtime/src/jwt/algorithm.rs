use jsonwebtoken::AlgorithmFamily;

/// What a token is signed by ([RFC 7518, section 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1), and
/// [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037) for EdDSA). There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256, by a secret that issuer and server share.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// RSA (PKCS #1 v1.5) with SHA-384.
    Rs384,
    /// RSA (PKCS #1 v1.5) with SHA-512.
    Rs512,
    /// RSA (PSS) with SHA-256.
    Ps256,
    /// RSA (PSS) with SHA-384.
    Ps384,
    /// RSA (PSS) with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Those of public keys, all of which are safe to allow.
    pub(super) const PUBLIC: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    pub(super) fn is_of_secret(self) -> bool {
        self.read().family() == AlgorithmFamily::Hmac
    }

    /// As the crate `jsonwebtoken` has it.
    pub(super) fn read(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Read;
        match self {
            Self::Hs256 => Read::HS256,
            Self::Hs384 => Read::HS384,
            Self::Hs512 => Read::HS512,
            Self::Rs256 => Read::RS256,
            Self::Rs384 => Read::RS384,
            Self::Rs512 => Read::RS512,
            Self::Ps256 => Read::PS256,
            Self::Ps384 => Read::PS384,
            Self::Ps512 => Read::PS512,
            Self::Es256 => Read::ES256,
            Self::Es384 => Read::ES384,
            Self::EdDsa => Read::EdDSA,
        }
    }
}
