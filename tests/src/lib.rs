//! The expected outputs of the golden cases, compiled: what the generator writes is free of errors, warnings, clippy's
//! remarks, failing doctests and broken links.

include!(concat!(env!("OUT_DIR"), "/goldens.rs"));
