//! Tokens that were verified not long ago.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{key_set::KeySet, verify::Verified};
use crate::authentication::Caller;

/// How many tokens a generation has, of which there are two.
const GENERATION: usize = 1024;
/// The largest token that is remembered, in bytes: so all of them have 8 MiB at most.
const MAX_SIZE: usize = 4 << 10;

/// What is asked for moves to the young generation; when that is full, it becomes the old one, and the old one goes. Only
/// tokens that were verified come in, so nobody can fill it who has none.
#[derive(Default)]
pub(super) struct Cache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Entry>,
    old: HashMap<Box<str>, Entry>,
}

#[derive(Clone)]
struct Entry {
    verified: Verified,
    keys: Arc<KeySet>,
}

impl Cache {
    /// The caller of a token that was verified by these keys, and is still valid.
    pub(super) fn get(&self, token: &str, keys: &Arc<KeySet>) -> Option<Caller> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match generations.young.get(token) {
            Some(entry) => entry.clone(),
            None => {
                let (token, entry) = generations.old.remove_entry(token)?;
                generations.insert(token, entry.clone());
                entry
            }
        };
        let now = jsonwebtoken::get_current_timestamp();
        let is_good = Arc::ptr_eq(&entry.keys, keys) && now <= entry.verified.valid_until;
        is_good.then_some(entry.verified.caller)
    }

    pub(super) fn insert(&self, token: &str, keys: &Arc<KeySet>, verified: &Verified) {
        if token.len() > MAX_SIZE {
            return;
        }
        let entry = Entry {
            verified: verified.clone(),
            keys: Arc::clone(keys),
        };
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(token.into(), entry);
    }
}

impl Generations {
    fn insert(&mut self, token: Box<str>, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, entry);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
