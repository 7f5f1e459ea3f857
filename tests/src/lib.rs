//! Generated code, compiled: what the generator writes is free of errors, warnings, clippy's remarks, failing doctests
//! and broken links.

/// The expected outputs of the golden cases.
pub mod golden {
    include!(concat!(env!("OUT_DIR"), "/goldens.rs"));
}

/// Code from the protos of other projects.
pub mod real {
    include!(concat!(env!("OUT_DIR"), "/real.rs"));
}
