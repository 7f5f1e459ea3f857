//! Addresses that are known from the start.

use super::{Address, Resolution, Resolver, ResolverUpdates};

/// Addresses that the target names itself.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Vec<Address>);

impl Resolver for Fixed {
    async fn run(&self, updates: ResolverUpdates) {
        updates.send(Ok(Resolution::new(self.0.clone())));
    }
}
