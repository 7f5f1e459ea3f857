//! Requests that are held to the rules of their protos, client and server both ours.

#![allow(clippy::unwrap_used)]

mod cases;
mod crates;
mod extended;
mod kinds;
mod peers;
mod required;
mod rules;
mod serving;
mod support;

/// What the build script generated, but for what it generated for tonic, and from rules that are wrong.
mod proto {
    wireloom::include_protos!();
}
