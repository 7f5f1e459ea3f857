//! A JWKS, as an issuer publishes it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wireloom::fuzzing::read_jwks;

fuzz_target!(|input: &[u8]| {
    match read_jwks(input) {
        Ok(algorithms) => {
            // A set that is taken has a key that can be used, and is what it says it is.
            assert!(algorithms > 0);
            let document: Value = serde_json::from_slice(input).expect("what is read is JSON");
            let keys = document["keys"].as_array().expect("they are a list");
            assert!(keys.iter().any(|key| key["kty"] != "oct"));
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});
