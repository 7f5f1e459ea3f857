//! Calls over real sockets, client and server both ours.

#![allow(clippy::unwrap_used)]

mod admission;
mod bad_input;
mod blocked_threads;
mod cancellation;
mod compression;
mod configuration;
mod deadlines;
mod error_details;
mod events;
mod fallback;
mod four_kinds;
mod guide;
mod health;
mod hosting;
mod in_process;
mod interceptors;
mod layers;
mod life;
mod listeners;
mod logged;
mod mocks;
mod mounted;
mod names;
mod panics;
mod reflection;
mod retries;
mod runtimes;
mod shutdown;
mod signals;
mod support;
mod systemd;
mod tonic_stubs;
mod traces;

/// What the build script generated from `proto/`.
mod proto {
    wireloom::include_protos!();
}
