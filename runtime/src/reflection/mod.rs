//! What a server has, told to clients that have no protos: `grpc.reflection.v1`, and `v1alpha` for older ones
//! ([gRPC's server reflection]).
//!
//! [`Server::reflection`](crate::Server::reflection) answers it from the descriptors that are embedded in generated code.
//!
//! `tonic-reflection` is not used, since it answers without the files that a file imports, and knows no extensions.
//!
//! [gRPC's server reflection]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md

#[rustfmt::skip]
mod descriptors;
mod index;
mod messages;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tonic::Status;

use self::index::Index;
pub(crate) use self::service::{ReflectionV1, ReflectionV1Alpha};
use crate::server::Service;

/// Answers reflection of the services of these names by these descriptor sets.
///
/// # Errors
///
/// INVALID_ARGUMENT for what is no descriptor set.
pub(crate) fn services<'a>(
    names: impl Iterator<Item = &'static str>,
    descriptor_sets: impl Iterator<Item = &'a [u8]>,
) -> Result<(ReflectionV1, ReflectionV1Alpha), Status> {
    let own = [ReflectionV1::NAME, ReflectionV1Alpha::NAME];
    let mut index = Index::new(names.chain(own));
    for set in descriptor_sets.chain([descriptors::FILE_DESCRIPTOR_SET]) {
        index.add(set)?;
    }
    warn_of_undeclared(&index);
    let index = Arc::new(index);
    Ok((
        ReflectionV1::new(Arc::clone(&index)),
        ReflectionV1Alpha::new(index),
    ))
}

fn warn_of_undeclared(index: &Index) {
    let services: Vec<_> = index.undeclared().collect();
    if !services.is_empty() {
        tracing::warn!(
            target: "wireloom",
            services = services.join(", "),
            "reflection tells no more of these services than their names, since their descriptors are not embedded: set \
             `descriptors = true` under `[generate]` in wireloom.toml and generate again, or give them to \
             `Server::file_descriptor_set`"
        );
    }
}
