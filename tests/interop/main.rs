//! Python's grpcio as a peer, both ways.
//!
//! Needs a Python with grpcio, grpcio-tools, grpcio-status and googleapis-common-protos: the one that the variable
//! WIRELOOM_PYTHON names, or `python3`. Without, these tests count as ignored; `.ci/run` installs it and runs them.

#![allow(clippy::unwrap_used)]

mod grpcio_client;
mod grpcio_server;
mod python;
mod scripts;
mod security;
#[path = "../e2e/support.rs"]
#[allow(dead_code)]
mod support;
#[path = "../security/world.rs"]
#[allow(dead_code)]
mod world;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}
