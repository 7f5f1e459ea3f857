//! `grpc-retry-pushback-ms`, in the trailers of a call that failed: a value in each line of the input.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use wireloom::fuzzing::{RetryAfter, read_pushback, read_trailers};

fuzz_target!(|input: &[u8]| {
    let values: Vec<_> = input
        .split(|byte| *byte == b'\n')
        .filter_map(|value| HeaderValue::from_bytes(value).ok())
        .collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    for value in &values {
        trailers.append("grpc-retry-pushback-ms", value.clone());
    }
    let error = read_trailers(trailers).expect_err("14 is a failure");
    let expected = match values.as_slice() {
        [] => RetryAfter::Unsaid,
        [value] => match milliseconds(value) {
            Some(milliseconds) => RetryAfter::Delay(Duration::from_millis(milliseconds.into())),
            None => RetryAfter::Never,
        },
        [_, _, ..] => RetryAfter::Never,
    };
    assert_eq!(read_pushback(&error), expected, "{values:?}");
});

fn milliseconds(value: &HeaderValue) -> Option<u32> {
    let text = value.to_str().ok().filter(|text| !text.starts_with('+'))?;
    let milliseconds: i32 = text.parse().ok()?;
    // "-0" is a number, but has a sign.
    (!text.starts_with('-')).then_some(milliseconds.try_into().ok()?)
}
