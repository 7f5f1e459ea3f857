use std::collections::BTreeMap;

use etcd_client::{Event, EventType, KeyValue};
use wireloom::resolver::Resolution;

use crate::entry::Entry;

/// The servers below a key, by their own keys.
#[derive(Debug, Default)]
pub(crate) struct Servers(BTreeMap<String, Entry>);

impl Servers {
    pub(crate) fn list(&mut self, found: &[KeyValue]) {
        self.0.clear();
        for server in found {
            self.put(server);
        }
    }

    /// Follows changes, and says whether there were any.
    pub(crate) fn change(&mut self, events: &[Event]) -> bool {
        for event in events {
            match (event.event_type(), event.kv()) {
                (EventType::Put, Some(server)) => self.put(server),
                (EventType::Delete, Some(server)) => {
                    self.0.remove(&*String::from_utf8_lossy(server.key()));
                }
                (_, None) => {}
            }
        }
        !events.is_empty()
    }

    fn put(&mut self, server: &KeyValue) {
        let key = String::from_utf8_lossy(server.key()).into_owned();
        match Entry::read(server.value()) {
            Ok(entry) => {
                self.0.insert(key, entry);
            }
            Err(error) => {
                tracing::warn!(key, %error, "the value is no server's");
                self.0.remove(&key);
            }
        }
    }

    /// The servers for a channel, but for those whose names have no address now.
    pub(crate) async fn resolution(&self) -> Resolution {
        let mut found = Vec::new();
        for (key, entry) in &self.0 {
            match entry.addresses(key).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => tracing::warn!(key, %error, "{} has no address", entry.address),
            }
        }
        Resolution::new(found)
    }
}
