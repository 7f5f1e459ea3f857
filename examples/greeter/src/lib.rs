//! A service that greets people, made with Wireloom.
//!
//! - [`proto`] is generated from `proto/greeter.proto`: messages, client and server.
//! - [`service`] answers the calls.
//! - [`calls`] makes them.

pub mod calls;
pub mod service;

/// Generated code: a module for each protobuf package.
pub mod proto {
    wireloom::include_protos!();
}
