//! What an authenticator may be told, and what it reads of keys.

use std::time::Duration;

use jsonwebtoken::Algorithm as Read;
use tonic::metadata::MetadataMap;

use super::{
    Algorithm, JwtAuthenticator, JwtBuilder, Keys, bearer,
    key_set::KeySet,
    verify::{Verifier, validation},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with_secret() -> JwtBuilder {
    JwtAuthenticator::builder(Keys::secret(SECRET))
        .issuer("me")
        .audience("you")
}

fn refusal(builder: JwtBuilder) -> String {
    builder.build().unwrap_err().message().to_owned()
}

#[test]
fn whose_tokens_and_for_whom_must_be_said() {
    let keys = || JwtAuthenticator::builder(Keys::secret(SECRET));
    assert!(refusal(keys().audience("you")).contains("issuer"));
    assert!(refusal(keys().issuer("me")).contains("audience"));
    assert!(keys().any_issuer().any_audience().build().is_ok());
    assert!(refusal(with_secret().any_audience()).contains("audience"));
}

#[test]
fn secrets_and_public_keys_have_no_algorithm_in_common() {
    let mixed = with_secret().algorithms([Algorithm::Hs256, Algorithm::Rs256]);
    assert!(refusal(mixed).contains("must not be mixed"));
    let url = JwtAuthenticator::builder(Keys::url("http://localhost/jwks"))
        .any_issuer()
        .any_audience();
    assert!(url.clone().build().is_ok());
    assert!(refusal(url.clone().algorithms([Algorithm::Hs256])).contains("must not be mixed"));
    assert!(refusal(url.algorithms([])).contains("at least"));
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let short = JwtAuthenticator::builder(Keys::secret("password"));
    assert!(refusal(short.any_issuer().any_audience()).contains("32"));
}

fn algorithms(jwk: &str, id: Option<&str>) -> Vec<Read> {
    let Ok(keys) = KeySet::of_jwks(format!("{{\"keys\":[{jwk}]}}").as_bytes()) else {
        return Vec::new();
    };
    let all = [Algorithm::Hs256].into_iter().chain(Algorithm::PUBLIC);
    all.map(Algorithm::read)
        .filter(|algorithm| keys.candidates(id, *algorithm).next().is_some())
        .collect()
}

#[test]
fn a_key_is_for_what_it_says_alone() {
    let x = "A".repeat(43);
    let ec = format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{x}""#);
    assert_eq!(algorithms(&format!("{{{ec}}}"), None), [Read::ES256]);
    let named = format!(r#"{{{ec},"kid":"a","use":"sig","key_ops":["verify"],"alg":"ES256"}}"#);
    assert_eq!(algorithms(&named, Some("a")), [Read::ES256]);
    assert_eq!(algorithms(&named, Some("b")), []);
    for other in [
        r#""use":"enc""#,
        r#""key_ops":["sign"]"#,
        r#""alg":"ES384""#,
        r#""alg":"HS256""#,
        r#""alg":"ECDH-ES""#,
    ] {
        assert_eq!(
            algorithms(&format!("{{{ec},{other}}}"), None),
            [],
            "{other}"
        );
    }
    let rsa = |bytes: usize| {
        format!(
            r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#,
            "_".repeat(bytes / 3 * 4)
        )
    };
    assert_eq!(algorithms(&rsa(258), None).len(), 6);
    assert_eq!(algorithms(&rsa(129), None), [], "1024 bits");
    let secret = format!(r#"{{"kty":"oct","k":"{x}"}}"#);
    assert_eq!(algorithms(&secret, None), []);
}

#[test]
fn a_key_whose_size_is_not_its_curve_s_is_left_out() {
    let key = |kind: &str, curve: &str, x: usize, y: usize| {
        let (x, y) = ("A".repeat(x), "A".repeat(y));
        format!(r#"{{"kty":"{kind}","crv":"{curve}","x":"{x}","y":"{y}"}}"#)
    };
    assert_eq!(
        algorithms(&key("OKP", "Ed25519", 43, 0), None),
        [Read::EdDSA]
    );
    assert_eq!(algorithms(&key("EC", "P-384", 64, 64), None), [Read::ES384]);
    for jwk in [
        key("OKP", "Ed25519", 0, 0),
        key("OKP", "Ed25519", 42, 0),
        key("OKP", "Ed25519", 44, 0),
        key("EC", "P-256", 42, 43),
        key("EC", "P-256", 64, 64),
        key("EC", "P-384", 43, 43),
    ] {
        assert_eq!(algorithms(&jwk, None), [], "{jwk}");
    }
}

/// Made for this test; nobody has the key to it.
const RSA_OF_2040_BITS: &str = "-----BEGIN PUBLIC KEY-----
MIIBITANBgkqhkiG9w0BAQEFAAOCAQ4AMIIBCQKCAQAAq//3VWq9CmUCvt5cUUY6
JOPHmsMzcREH7xh6U2QnWsBhztqRLKgGILpDf8NF3DzKkmQTBiUei6EVBh8RYe9U
wuDIVUjX5jWdXcAM6gAsuXkWFB2KtS3PiLkgpKTBC2rzOpWKHnff/h3w0lQv9M+k
5bx560AV9XnHV/i43fH80HJTkn4wXXrNtpOVlnBYkEbp3vSESCCtNjmg9ObBwalU
kjT1Ba9zie/e1DEACd7GbRU2zid0cnz2cHq+jO+J49YjkaeqAG7Ep2w61cNb2THz
lgvYl3Cbc6cpWolkLptNXE11xDZBkDq7bAQh+vWFmtcs2dVOIoAE0Zh94uxxjzZn
AgMBAAE=
-----END PUBLIC KEY-----
";

#[test]
fn a_key_in_pem_is_held_to_its_size_as_well() {
    let error = KeySet::of_pem(RSA_OF_2040_BITS.as_bytes()).unwrap_err();
    assert!(error.contains("2048 bits"), "{error}");
}

#[test]
fn a_jwks_without_a_key_that_can_be_used_says_so() {
    for (text, why) in [
        ("", "no JSON"),
        ("[]", "no JWKS"),
        ("{\"keys\":{}}", "no JWKS"),
        ("{\"keys\":[]}", "no key"),
        ("{\"keys\":[{},1,{\"kty\":\"EC\"}]}", "no key"),
    ] {
        let error = KeySet::of_jwks(text.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let many = format!("{{\"keys\":[{}]}}", vec!["{}"; 101].join(","));
    assert!(KeySet::of_jwks(many.as_bytes()).is_err());
}

#[test]
fn a_bearer_token_is_read_as_rfc_6750_has_it() {
    let read = |values: &[&str]| {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        bearer::token(&metadata)
            .map(|token| token.map(str::to_owned))
            .map_err(|status| status.message().to_owned())
    };
    let token = |token: &str| Ok(Some(token.to_owned()));
    assert_eq!(read(&["Bearer a.b-c_d~+/="]), token("a.b-c_d~+/="));
    assert_eq!(read(&["bEARER  a"]), token("a"));
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&["Basic YTpi"]), Ok(None));
    assert_eq!(read(&["Bearera"]), Ok(None));
    for values in [
        &["Bearer a", "Bearer a"][..],
        &["Basic YTpi", "Bearer a"],
        &["Bearer"],
        &["Bearer "],
        &["Bearer a, Bearer b"],
        &["Bearer a b"],
        &["Bearer \"a\""],
    ] {
        assert!(read(values).is_err(), "{values:?}");
    }
    let huge = format!("Bearer {}", "a".repeat(20 << 10));
    assert!(read(&[&huge]).is_err());
}

#[test]
fn what_is_told_of_a_token_has_one_line() {
    // {"alg":"none\nan event that was never"}
    let header = "eyJhbGciOiJub25lXG5hbiBldmVudCB0aGF0IHdhcyBuZXZlciJ9";
    let verifier = Verifier {
        algorithms: vec![Read::HS256],
        validation: validation(&[], &[], Duration::ZERO),
        scope_claims: Vec::new(),
    };
    let keys = KeySet::of_secret(SECRET.as_bytes());
    let failure = verifier.verify(&format!("{header}.e30.c2ln"), &keys);
    let told = failure.err().unwrap().to_string();
    assert!(told.contains("an event that was never"), "{told}");
    assert!(!told.contains('\n'), "{told}");
}
