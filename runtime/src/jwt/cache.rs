//! Tokens that were verified not long ago.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{key_set::KeySet, verify::Verified};
use crate::authentication::Caller;

/// Parts, each with a lock of its own, so that calls on several threads seldom wait for each other.
const PARTS: usize = 8;
/// How many tokens a generation of a part has; there are two.
const GENERATION: usize = 128;
/// The largest token that is remembered, in bytes: so their texts have 8 MiB at most.
const MAX_SIZE: usize = 4 << 10;

/// What is asked for moves to the young generation; when that is full, it becomes the old one, and the old one goes. Only
/// tokens that were verified come in, so nobody can fill it who has none.
#[derive(Default)]
pub(super) struct Cache {
    parts: [Mutex<Generations>; PARTS],
    hasher: RandomState,
}

/// By the hash of the token, which is made without the lock, and cannot be chosen by who does not know the hasher.
#[derive(Default)]
struct Generations {
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
}

#[derive(Clone)]
pub(super) struct Entry {
    token: Arc<str>,
    verified: Verified,
    keys: Arc<KeySet>,
}

impl Entry {
    /// The caller, where the token was verified by these keys, and is still valid.
    pub(super) fn caller_by(self, keys: &Arc<KeySet>) -> Option<Caller> {
        let is_good = Arc::ptr_eq(&self.keys, keys) && self.verified.is_valid();
        is_good.then_some(self.verified.caller)
    }
}

impl Cache {
    /// What there is of a token that was verified, by whichever keys.
    pub(super) fn get(&self, token: &str) -> Option<Entry> {
        let hash = self.hasher.hash_one(token);
        let entry = self.part(hash).get(hash)?;
        (*entry.token == *token).then_some(entry)
    }

    pub(super) fn insert(&self, token: &str, keys: &Arc<KeySet>, verified: &Verified) {
        if token.len() > MAX_SIZE {
            return;
        }
        let entry = Entry {
            token: token.into(),
            verified: verified.clone(),
            keys: Arc::clone(keys),
        };
        let hash = self.hasher.hash_one(token);
        self.part(hash).insert(hash, entry);
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Generations> {
        let part = &self.parts[hash as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, hash: u64) -> Option<Entry> {
        if let Some(entry) = self.young.get(&hash) {
            return Some(entry.clone());
        }
        let entry = self.old.remove(&hash)?;
        self.insert(hash, entry.clone());
        Some(entry)
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(name: &str, valid_for: u64) -> Verified {
        Verified {
            caller: Caller::new(name),
            valid_until: jsonwebtoken::get_current_timestamp() + valid_for,
        }
    }

    fn keys() -> Arc<KeySet> {
        Arc::new(KeySet::of_secret(b"secret"))
    }

    fn caller(cache: &Cache, token: &str, keys: &Arc<KeySet>) -> Option<Caller> {
        cache.get(token)?.caller_by(keys)
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let (cache, keys) = (Cache::default(), keys());
        cache.insert("kept", &keys, &verified("kept", 60));
        for at in 0..10_000 {
            let token = at.to_string();
            cache.insert(&token, &keys, &verified(&token, 60));
            let kept = caller(&cache, "kept", &keys).unwrap();
            assert_eq!(kept.subject(), "kept");
        }
        let remembered = (0..10_000).filter(|at| {
            let parts = &cache.parts;
            let hash = cache.hasher.hash_one(at.to_string().as_str());
            let part = parts[hash as usize % PARTS].lock().unwrap();
            part.young.contains_key(&hash) || part.old.contains_key(&hash)
        });
        let remembered = remembered.count();
        assert!(remembered <= 2 * PARTS * GENERATION, "{remembered}");
        assert!(remembered >= PARTS * GENERATION / 2, "{remembered}");
    }

    #[test]
    fn what_is_too_old_or_by_other_keys_or_too_large_is_not_known() {
        let (cache, keys) = (Cache::default(), keys());
        cache.insert("a", &keys, &verified("a", 60));
        assert!(caller(&cache, "a", &keys).is_some());
        assert!(caller(&cache, "a", &self::keys()).is_none());
        cache.insert("b", &keys, &verified("b", 0));
        assert!(caller(&cache, "b", &keys).is_none());
        let large = "c".repeat(MAX_SIZE + 1);
        cache.insert(&large, &keys, &verified("c", 60));
        assert!(caller(&cache, &large, &keys).is_none());
    }
}
