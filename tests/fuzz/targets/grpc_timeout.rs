//! `grpc-timeout`: what is read, and what is written.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wireloom::fuzzing::{read_timeout, write_timeout};

/// What the reader clamps to.
const FAR_FUTURE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

fuzz_target!(|input: &[u8]| {
    match read_timeout(input) {
        Ok(timeout) => {
            assert!(is_well_formed(input));
            assert_survives_the_wire(timeout);
        }
        Err(reason) => {
            assert!(!is_well_formed(input));
            assert!(reason.contains("1 to 8 digits and a unit"));
        }
    }
    if let Some((seconds, nanos)) = input.split_first_chunk()
        && let Some(nanos) = nanos.first_chunk()
    {
        // As far up as a duration goes without carrying over.
        let nanos = u32::from_be_bytes(*nanos) % 1_000_000_000;
        assert_survives_the_wire(Duration::new(u64::from_be_bytes(*seconds), nanos));
    }
});

fn is_well_formed(value: &[u8]) -> bool {
    value.split_last().is_some_and(|(unit, digits)| {
        b"HMSmun".contains(unit)
            && (1..=8).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit)
    })
}

/// A timeout arrives no shorter than it was, and at most a unit of five or more digits longer.
fn assert_survives_the_wire(timeout: Duration) {
    let wire = write_timeout(timeout);
    assert!(is_well_formed(wire.as_bytes()), "{wire:?}");
    let arrived = read_timeout(wire.as_bytes()).expect("what is written can be read");
    let sent = timeout.min(FAR_FUTURE);
    assert!(arrived >= sent, "{timeout:?} as {wire:?}");
    assert!(arrived - sent <= sent / 10_000, "{timeout:?} as {wire:?}");
}
