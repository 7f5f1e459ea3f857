//! `grpc-status-details-bin`, and the status around it: a trailer in each line of the input, in the order of `NAMES`
//! and over again. The input is also the details of a status that is written.

#![no_main]

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use wireloom::{
    Code, Status,
    fuzzing::{read_trailers, write_trailers},
};

const NAMES: [&str; 4] = [
    "grpc-status",
    "grpc-status-details-bin",
    "grpc-message",
    "cost-bin",
];

/// Padding is up to the sender.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fuzz_target!(|input: &[u8]| {
    let mut trailers = HeaderMap::new();
    for (name, line) in NAMES.iter().cycle().zip(input.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            trailers.append(*name, value);
        }
    }
    match read_trailers(trailers.clone()) {
        Ok(metadata) => {
            assert_eq!(trailers["grpc-status"], "0");
            assert_only_metadata(&metadata, &trailers);
        }
        Err(error) => assert_read(&error, &trailers),
    }
    assert_survives_the_wire(input);
});

fn assert_read(error: &Status, trailers: &HeaderMap) {
    let code = match trailers.get("grpc-status") {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None => Code::Unknown,
    };
    assert_eq!(error.code(), code);
    assert_only_metadata(error.metadata().as_ref(), trailers);
    if trailers.contains_key("grpc-status") {
        let details = trailers.get("grpc-status-details-bin");
        let details = details.and_then(|details| BASE64.decode(details).ok());
        assert_eq!(error.details(), details.unwrap_or_default());
    }
}

/// The status is taken out of the metadata; the rest stays.
fn assert_only_metadata(metadata: &HeaderMap, trailers: &HeaderMap) {
    let cost = |headers: &HeaderMap| {
        headers
            .get_all("cost-bin")
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(cost(metadata), cost(trailers));
    assert!(metadata.keys().all(|name| name == "cost-bin"));
}

fn assert_survives_the_wire(input: &[u8]) {
    let code = 1 + i32::from(input.first().copied().unwrap_or_default() % 16);
    let message = String::from_utf8_lossy(input);
    let details = input.to_vec().into();
    let sent = Status::with_details(Code::from_i32(code), message, details);
    let mut trailers = HeaderMap::new();
    write_trailers(&sent, &mut trailers);
    let read = read_trailers(trailers).expect_err("the code is that of a failure");
    assert_eq!(read.code(), sent.code());
    assert_eq!(read.message(), sent.message());
    assert_eq!(read.details(), sent.details());
}
