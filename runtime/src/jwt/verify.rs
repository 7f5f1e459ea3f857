//! The verification of a token.

use std::{fmt, time::Duration};

use jsonwebtoken::{Header, Validation, errors::ErrorKind};
use serde_json::{Map, Value};
use tonic::Status;

use super::{claims::Claims, key_set::KeySet};
use crate::authentication::Caller;

/// How many keys are tried for a token that names none.
const MOST_TRIED: usize = 8;

/// The media types of access tokens: of JWTs as such, and [RFC 9068, section
/// 2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1). Tokens for other purposes have others.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// What holds for all tokens.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) algorithms: Vec<jsonwebtoken::Algorithm>,
    /// With no algorithms yet: those are of each token.
    pub(super) validation: Validation,
    /// The claims that hold scopes; those of [`Claims::scopes`] where there are none.
    pub(super) scope_claims: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Verified {
    pub(super) caller: Caller,
    /// When it ends to be valid, in seconds since 1970.
    pub(super) valid_until: u64,
}

impl Verified {
    /// Whether it is still valid: on its `exp` it is not any more ([RFC 7519, section
    /// 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)), though `jsonwebtoken` takes it for that second.
    pub(super) fn is_valid(&self) -> bool {
        jsonwebtoken::get_current_timestamp() < self.valid_until
    }
}

/// Why a token is not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is not one that could be verified.
    Malformed(String),
    /// It is of no key that is there: it names another, or names none and none fits.
    UnknownKey,
    /// The key that it names does not fit its signature.
    Signature,
    /// It is as its issuer made it, and not for this: what of it.
    Claims(ErrorKind),
    /// No token can be verified now.
    NoKeys(Status),
}

impl Failure {
    /// What the caller is told: the error codes are those of [RFC 6750, section
    /// 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1). Of what is wrong, who shows a token that an issuer signed
    /// learns more than who does not; that it is of another issuer, everyone.
    pub(super) fn status(&self) -> Status {
        let what = match self {
            Self::NoKeys(status) => return status.clone(),
            Self::Malformed(_) => "it is malformed, or not of a kind that is taken",
            Self::UnknownKey | Self::Signature => "its key or signature is not valid",
            Self::Claims(ErrorKind::ExpiredSignature) => "it has expired",
            Self::Claims(ErrorKind::ImmatureSignature) => "it is not valid yet",
            Self::Claims(ErrorKind::InvalidAudience) => "it is for another audience",
            Self::Claims(ErrorKind::InvalidIssuer) => "it is of another issuer",
            Self::Claims(_) => "a claim is missing or malformed",
        };
        Status::unauthenticated(format!(
            "invalid_token: the access token is not taken: {what}"
        ))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::UnknownKey => f.write_str("it is of no key that is there"),
            Self::Signature => f.write_str("the key that it names does not fit its signature"),
            Self::Claims(kind) => write!(f, "{kind:?}"),
            Self::NoKeys(status) => f.write_str(status.message()),
        }
    }
}

impl Verifier {
    /// Refuses a token that says itself to be of another issuer, before it is verified.
    pub(super) fn check_issuer(&self, token: &str) -> Result<(), Failure> {
        let Some(ours) = &self.validation.iss else {
            return Ok(());
        };
        let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Map<String, Value>>(token);
        let claims = claims.unwrap_or_default();
        match claims.get("iss").and_then(Value::as_str) {
            Some(issuer) if !ours.contains(issuer) => {
                Err(Failure::Claims(ErrorKind::InvalidIssuer))
            }
            // What else it is, verification sees.
            _ => Ok(()),
        }
    }

    pub(super) fn verify(&self, token: &str, keys: &KeySet) -> Result<Verified, Failure> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| {
            // It may have a part of the header as its sender wrote it, line breaks and all.
            let error = error.to_string();
            let why = format!("its header cannot be read: {}", error.escape_debug());
            Failure::Malformed(why)
        })?;
        self.check_header(&header)?;
        let candidates = keys.candidates(header.kid.as_deref(), header.alg);
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        for key in candidates.take(MOST_TRIED) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(data) => return self.verified(data.claims),
                Err(error) => match error.into_kind() {
                    ErrorKind::InvalidSignature | ErrorKind::InvalidRsaKey(_) => {}
                    ErrorKind::InvalidEcdsaKey | ErrorKind::InvalidEddsaKey => {}
                    kind if is_of_claims(&kind) => return Err(Failure::Claims(kind)),
                    kind => return Err(Failure::Malformed(format!("{kind:?}"))),
                },
            }
        }
        match header.kid.is_some_and(|id| keys.has(&id)) {
            true => Err(Failure::Signature),
            false => Err(Failure::UnknownKey),
        }
    }

    fn check_header(&self, header: &Header) -> Result<(), Failure> {
        let refuse = |why: String| Err(Failure::Malformed(why));
        if !self.algorithms.contains(&header.alg) {
            return refuse(format!("its algorithm {:?} is not allowed", header.alg));
        }
        // What a token calls critical must be understood (RFC 7515, section 4.1.11), and we know of no extension.
        if header.crit.is_some() || !matches!(header.extras.get::<Value>("b64"), Ok(None)) {
            return refuse("it has critical extensions".to_owned());
        }
        let kind = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        match TYPES.contains(&kind) {
            true => Ok(()),
            false => refuse(format!("its type {kind:?} is none of access tokens")),
        }
    }

    fn verified(&self, claims: Map<String, Value>) -> Result<Verified, Failure> {
        let expires = claims.get("exp").and_then(|exp| match exp.as_u64() {
            Some(exp) => Some(exp),
            // Whole seconds, and none more than there are.
            None => exp.as_f64().map(|exp| exp as u64),
        });
        let expires =
            expires.ok_or(Failure::Claims(ErrorKind::InvalidClaimFormat("exp".into())))?;
        let claims = Claims::new(claims);
        let subject = claims.subject().unwrap_or_default().to_owned();
        let scopes: Vec<String> = match self.scope_claims.as_slice() {
            [] => claims.scopes().map(str::to_owned).collect(),
            named => named
                .iter()
                .flat_map(|claim| claims.words(claim))
                .map(str::to_owned)
                .collect(),
        };
        let caller = Caller::new(subject).with_scopes(scopes);
        let verified = Verified {
            caller: caller.with_extension(claims),
            valid_until: expires.saturating_add(self.validation.leeway),
        };
        match verified.is_valid() {
            true => Ok(verified),
            false => Err(Failure::Claims(ErrorKind::ExpiredSignature)),
        }
    }
}

/// Whether the signature was good by then.
fn is_of_claims(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ExpiredSignature
            | ErrorKind::ImmatureSignature
            | ErrorKind::InvalidAudience
            | ErrorKind::InvalidIssuer
            | ErrorKind::InvalidSubject
            | ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
    )
}

/// What is checked of claims: that it has not expired, is valid by now, and is of and for those that are named.
pub(super) fn validation(issuers: &[String], audiences: &[String], skew: Duration) -> Validation {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.algorithms.clear();
    validation.leeway = skew.as_secs();
    validation.validate_nbf = true;
    if !issuers.is_empty() {
        validation.set_issuer(issuers);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    validation.validate_aud = !audiences.is_empty();
    if !audiences.is_empty() {
        validation.set_audience(audiences);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}
