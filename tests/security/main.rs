//! TLS and call credentials over real sockets, client and server both ours unless a test needs a peer that is wrong.

#![allow(clippy::unwrap_used)]

mod credentials;
mod guide;
mod handshakes;
mod mutual;
mod peers;
mod rotation;
#[path = "../e2e/support.rs"]
#[allow(dead_code)]
mod support;
mod world;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}
