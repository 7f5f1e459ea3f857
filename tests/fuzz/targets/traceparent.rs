//! `traceparent` and `tracestate`: a `traceparent` in each line of the input; what follows an empty line is the state.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use wireloom::fuzzing::{read_trace, write_trace};

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut lines = input.split(|byte| *byte == b'\n');
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        if let Ok(parent) = HeaderValue::from_bytes(line) {
            headers.append("traceparent", parent);
        }
    }
    for line in lines {
        if let Ok(state) = HeaderValue::from_bytes(line) {
            headers.append("tracestate", state);
        }
    }
    let Some(trace) = read_trace(&headers) else {
        return;
    };

    // It read what was there.
    let parent = std::str::from_utf8(headers["traceparent"].as_bytes()).expect("it was read");
    let fields: Vec<_> = parent.split('-').collect();
    assert_eq!(trace.trace_id().to_string(), fields[1]);
    assert_eq!(trace.span_id().to_string(), fields[2]);
    assert_eq!(headers.get_all("traceparent").iter().count(), 1);
    if fields[0] == "00" {
        assert_eq!(fields.len(), 4);
    }

    // And it writes what it read.
    let mut written = HeaderMap::new();
    write_trace(&trace, &mut written);
    assert!(written["traceparent"].as_bytes().starts_with(b"00-"));
    assert_eq!(written["traceparent"].len(), 55);
    assert_eq!(read_trace(&written), Some(trace));
    assert_eq!(states(&written), states(&headers));
});

/// The members of `tracestate`, which may stand in several headers.
fn states(headers: &HeaderMap) -> Vec<&[u8]> {
    let states = headers.get_all("tracestate").iter();
    states
        .flat_map(|state| state.as_bytes().split(|byte| *byte == b','))
        .collect()
}
