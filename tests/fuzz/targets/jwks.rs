//! A JWKS, as an issuer publishes it, and what a token is verified by that names one of its keys.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wireloom::fuzzing::{read_jwks, verify_by_jwks};

fuzz_target!(|input: &[u8]| {
    match read_jwks(input) {
        Ok(algorithms) => {
            // A set that is taken has a key that can be used, and is what it says it is.
            assert!(algorithms > 0);
            let document: Value = serde_json::from_slice(input).expect("what is read is JSON");
            let keys = document["keys"].as_array().expect("they are a list");
            assert!(keys.iter().any(|key| key["kty"] != "oct"));
            for algorithm in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
                let header = format!("{{\"alg\":\"{algorithm}\"}}");
                let size = if algorithm == "ES384" { 96 } else { 64 };
                let parts = [header.as_bytes(), b"{}", &[1; 96][..size]];
                let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
                let verified = verify_by_jwks(input, &token);
                assert!(verified.is_err(), "it has no `exp`, whoever signed it");
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});
