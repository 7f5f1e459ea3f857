//! TLS, call credentials, authentication and authorization over real sockets, client and server both ours unless a test needs a peer that is wrong.

#![allow(clippy::unwrap_used)]

mod authorization;
mod credentials;
mod guide;
mod handshakes;
mod issuer;
mod jwks;
mod jwt;
mod mutual;
mod peers;
mod rotation;
#[path = "../e2e/support.rs"]
#[allow(dead_code)]
mod support;
mod vault;
mod warnings;
mod world;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}
