use std::{io, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{net::lookup_host, time::timeout};
use wireloom::resolver::Address;

/// How long the lookup of a server's name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// What etcd keeps of a server, as a value: `host:port`, or JSON with the fields of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `host:port`; etcd's own `endpoints` package for Go writes it as `Addr`.
    #[serde(alias = "Addr")]
    pub address: String,
    /// How many times the calls of a server of weight 1 it gets, where the balancing policy knows weights.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

impl Entry {
    /// A server of weight 1 at `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        Self { address, weight: 1 }
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// What begins like JSON and is none of an entry; what is no UTF-8.
    pub fn read(value: &[u8]) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let value = str::from_utf8(value)?.trim();
        match value.starts_with('{') {
            true => Ok(serde_json::from_str(value)?),
            false => Ok(Self::new(value)),
        }
    }

    /// The value for etcd.
    pub fn write(&self) -> String {
        match self.weight {
            1 => self.address.clone(),
            _ => serde_json::to_string(self).expect("strings and numbers are JSON"),
        }
    }

    /// The addresses of the host, which `key` places on the ring of a `ring_hash`: calls come back to a server that has moved.
    pub(crate) async fn addresses(
        &self,
        key: &str,
    ) -> io::Result<impl Iterator<Item = Address> + use<'_>> {
        let found: Vec<_> = timeout(LOOKUP_TIMEOUT, lookup_host(&self.address))
            .await??
            .collect();
        let key = key.to_owned();
        Ok(found.into_iter().map(move |address| {
            Address::from(address)
                .with_weight(self.weight)
                .with_hash_key(&key)
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_value_is_an_address_alone() {
        let entry = Entry::read(b"127.0.0.1:50051\n").unwrap();
        assert_eq!(entry, Entry::new("127.0.0.1:50051"));
    }

    #[test]
    fn a_value_is_an_address_with_a_weight() {
        let heavy = Entry {
            weight: 3,
            ..Entry::new("[::1]:50051")
        };
        let value = heavy.write();
        assert_eq!(value, r#"{"address":"[::1]:50051","weight":3}"#);
        assert_eq!(Entry::read(value.as_bytes()).unwrap(), heavy);
    }

    #[test]
    fn what_gos_endpoints_package_writes_is_read() {
        let value = br#"{"Op":0,"Addr":"127.0.0.1:50051","Metadata":null}"#;
        assert_eq!(Entry::read(value).unwrap(), Entry::new("127.0.0.1:50051"));
    }

    #[test]
    fn other_values_are_refused() {
        for value in [&b"{}"[..], b"{\"address\": 1}", b"\xff:1"] {
            assert!(Entry::read(value).is_err(), "{value:?}");
        }
    }
}
