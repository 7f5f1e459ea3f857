//! Calls over real sockets, client and server both ours.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod cancellation;
mod compression;
mod deadlines;
mod four_kinds;
mod guide;
mod health;
mod in_process;
mod interceptors;
mod life;
mod mocks;
mod retries;
mod shutdown;
mod signals;
mod support;

mod tonic_stubs;
mod traces;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}
