//! A scripted peer as an address.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use wireloom_peer::Peer;

#[derive(Clone, Debug)]
pub(crate) struct Scripted(pub(super) Arc<Peer>);

impl PartialEq for Scripted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Scripted {}

impl Hash for Scripted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scripted")
    }
}
