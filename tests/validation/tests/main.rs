//! Requests that are held to the rules of their protos, client and server both ours.

#![allow(clippy::unwrap_used)]

mod rules;

/// What the build script generated from `proto/validated.proto`.
mod proto {
    wireloom::include_protos!();
}
