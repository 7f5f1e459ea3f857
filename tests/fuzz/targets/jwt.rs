//! `authorization`, as it comes; and a token whose header and payload are the first line and the rest of the input, signed as
//! an issuer signs it: what is read of claims is behind the signature.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tonic::metadata::{MetadataMap, MetadataValue};
use wireloom::fuzzing::{read_bearer, verify_by_secret};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fuzz_target!(|input: &[u8]| {
    unsigned(input);
    if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
        signed(&input[..end], &input[end + 1..]);
    }
});

fn unsigned(input: &[u8]) {
    let mut metadata = MetadataMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = MetadataValue::try_from(line) {
            metadata.append("authorization", value);
        }
    }
    match read_bearer(&metadata) {
        Ok(Some(token)) => {
            assert!(token.is_ascii() && !token.contains([' ', ',', '\t']));
            assert!(verify_by_secret(SECRET, token).is_err(), "it is forged");
        }
        Ok(None) => {}
        Err(status) => assert_eq!(status.code(), wireloom::Code::Unauthenticated),
    }
}

fn signed(header: &[u8], payload: &[u8]) {
    let message = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = message.join(".");
    let key = EncodingKey::from_secret(SECRET);
    // The provider is installed by the first verification.
    let _ = verify_by_secret(SECRET, "");
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    let token = format!("{message}.{}", signature.expect("the secret signs"));
    let Ok(claims) = verify_by_secret(SECRET, &token) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("what is read is JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(Value::is_null));
    let payload: Value = serde_json::from_slice(payload).expect("what is read is JSON");
    assert!(payload["exp"].is_number());
    assert_eq!(claims.subject(), payload["sub"].as_str());
    assert!(claims.scopes().all(|scope| !scope.is_empty()));
    assert_eq!(
        claims.as_object(),
        payload.as_object().expect("claims are an object")
    );
    let _ = (claims.issuer(), claims.audiences().count());
}
