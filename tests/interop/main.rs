//! Python's grpcio and grpc-js as peers, both ways.
//!
//! Needs a Python with grpcio, grpcio-health-checking, grpcio-reflection, grpcio-tools, grpcio-status and googleapis-common-protos: the one that
//! the variable WIRELOOM_PYTHON names, or `python3`; and Node.js with @grpc/grpc-js and @grpc/proto-loader, in the folder that
//! WIRELOOM_NODE_MODULES names. Without, these tests count as ignored; `.ci/run` installs them and runs them.

#![allow(clippy::unwrap_used)]

mod clients;
mod compression;
mod error_details;
#[path = "../security/issuer.rs"]
#[allow(dead_code)]
mod issuer;
mod keepalive;
mod peers;
mod python;
mod scripts;
mod security;
mod servers;
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
