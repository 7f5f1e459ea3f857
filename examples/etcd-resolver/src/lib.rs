//! Servers that register themselves in etcd, and a channel whose calls follow them.
//!
//! - [`EtcdResolver`] tells a channel which servers there are.
//! - [`Registration`] keeps a server among them.
//! - [`Entry`] is what etcd keeps of a server.
//! - [`connect`] makes etcd's client run on Wireloom's channel.
//! - [`service`] answers the calls of the example.

mod backoff;
mod entry;
mod etcd;
mod registration;
mod resolver;
mod servers;
pub mod service;

pub use self::{entry::Entry, etcd::connect, registration::Registration, resolver::EtcdResolver};

/// Generated code: a module for each protobuf package.
pub mod proto {
    wireloom::include_protos!();
}
