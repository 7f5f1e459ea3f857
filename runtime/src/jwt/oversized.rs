use std::sync::{Mutex, PoisonError};

use super::key_set::KeySet;

/// The names of keys that are too large to verify by, where they have names. Each is warned of once, and not whenever the keys are
/// read again.
#[derive(Debug, Default)]
pub(super) struct Oversized(Mutex<Vec<Option<String>>>);

impl Oversized {
    /// Warns of keys in `keys` that were not in those before.
    pub(super) fn warn(&self, keys: &KeySet) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = keys
            .oversized()
            .map(|name| name.map(str::to_owned))
            .collect();
        for name in names.iter().filter(|name| !told.contains(name)) {
            tracing::warn!(
                target: "wireloom",
                key = name.as_deref(),
                "a key of RSA has more than 4096 bits: the default provider of cryptography takes no token that is signed by it"
            );
        }
        *told = names;
    }
}
