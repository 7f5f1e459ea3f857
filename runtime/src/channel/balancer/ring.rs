//! The ring of `ring_hash`: which address each hash belongs to.

use std::hash::Hasher as _;

use http::{HeaderMap, HeaderName};
use twox_hash::XxHash64;

use crate::{channel::address::Address, policy::RingHash};

/// Places in the order of their hashes, as Envoy and other implementations of gRPC make them.
#[derive(Debug)]
pub(in crate::channel) struct Ring {
    /// Whose values a call's hash is made of.
    key: Option<HeaderName>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    /// That of the address which has the place.
    index: u32,
}

impl Ring {
    /// The ring of at least one address.
    pub(in crate::channel) fn new(addresses: &[Address], config: &RingHash) -> Self {
        let weight_of = |address: &Address| f64::from(address.weight());
        let total: f64 = addresses.iter().map(weight_of).sum();
        let least = addresses.iter().map(weight_of).fold(total, f64::min) / total;
        // The address with the least weight has a whole number of places, as far as the ring's size allows.
        let size = (least * config.min_ring_size as f64).ceil() / least;
        let size = size.min(config.max_ring_size as f64);
        let mut places = Vec::with_capacity(size.ceil() as usize);
        let mut filled_to = 0.0;
        let key_of = |address: &Address| match address.hash_key() {
            Some(key) => key.to_owned(),
            None => address.to_string(),
        };
        let keyed = addresses.iter().zip(0..);
        let mut keyed: Vec<_> = keyed
            .map(|(address, index)| (key_of(address), address, index))
            .collect();
        // Where their shares are not whole, who is rounded up depends on the order: resolvers have none.
        keyed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        for (key, address, index) in keyed {
            filled_to += size * weight_of(address) / total;
            let mut count = 0;
            while (places.len() as f64) < filled_to {
                let hash = XxHash64::oneshot(0, format!("{key}_{count}").as_bytes());
                places.push(Place { hash, index });
                count += 1;
            }
        }
        places.sort_by_key(|place| place.hash);
        let key = config.request_hash_header.as_deref();
        Self {
            key: key.and_then(|key| HeaderName::from_bytes(key.as_bytes()).ok()),
            places,
        }
    }

    /// The hash of a call with this metadata; `None` where that has nothing to hash.
    pub(super) fn hash_of(&self, metadata: &HeaderMap) -> Option<u64> {
        let key = self.key.as_ref()?;
        let mut hasher = XxHash64::with_seed(0);
        let mut is_empty = true;
        for (i, value) in metadata.get_all(key).iter().enumerate() {
            if i > 0 {
                hasher.write(b",");
            }
            hasher.write(value.as_bytes());
            is_empty &= i == 0 && value.is_empty();
        }
        (!is_empty).then(|| hasher.finish())
    }

    /// The indices of the addresses, from the one that `hash` belongs to on, once for each place.
    pub(super) fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.places.partition_point(|place| place.hash < hash);
        let (before, after) = self.places.split_at(first);
        let places = after.iter().chain(before);
        places.map(|place| place.index as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn addresses(count: u8) -> Vec<Address> {
        let address = |last| SocketAddr::from(([10, 0, 0, last], 50051));
        (1..=count).map(|last| address(last).into()).collect()
    }

    fn ring(addresses: &[Address], min_ring_size: u64, max_ring_size: u64) -> Ring {
        let config = RingHash {
            min_ring_size,
            max_ring_size,
            ..RingHash::by_header("key")
        };
        Ring::new(addresses, &config)
    }

    /// How many places each address has.
    fn places(ring: &Ring, addresses: usize) -> Vec<usize> {
        let mut counts = vec![0; addresses];
        ring.from(0).for_each(|index| counts[index] += 1);
        counts
    }

    fn owner<'a>(ring: &Ring, addresses: &'a [Address], key: u64) -> &'a Address {
        let hash = XxHash64::oneshot(0, &key.to_be_bytes());
        &addresses[ring.from(hash).next().unwrap()]
    }

    #[test]
    fn each_address_has_places_by_its_weight() {
        let mut addresses = addresses(3);
        assert_eq!(places(&ring(&addresses, 10, 100), 3), [4, 4, 4]);
        for (address, weight) in addresses.iter_mut().zip([3, 3, 4]) {
            *address = address.clone().with_weight(weight);
        }
        assert_eq!(places(&ring(&addresses, 10, 100), 3), [3, 3, 4]);
        assert_eq!(places(&ring(&addresses, 1000, 20), 3), [6, 6, 8]);
    }

    #[test]
    fn more_addresses_than_places_leave_some_without() {
        let counts = places(&ring(&addresses(10), 1, 4), 10);
        assert_eq!(counts.iter().sum::<usize>(), 4);
        assert_eq!(counts.iter().max(), Some(&1));
    }

    #[test]
    fn an_address_that_is_added_moves_little_more_than_its_share() {
        let (few, more) = (addresses(4), addresses(5));
        let (before, after) = (ring(&few, 1024, 4096), ring(&more, 1024, 4096));
        let (mut moved, mut taken) = (0, 0);
        for key in 0..1000 {
            let (was, is) = (owner(&before, &few, key), owner(&after, &more, key));
            moved += usize::from(was != is);
            taken += usize::from(is == &more[4]);
        }
        assert!((150..250).contains(&taken), "{taken}");
        assert!(moved - taken < 100, "{moved} for {taken}");
    }

    #[test]
    fn a_hash_key_keeps_the_places_of_an_address_that_moves() {
        let keyed = |addresses: Vec<Address>| {
            let keys = ["a", "b", "c"];
            let keyed = addresses.into_iter().zip(keys);
            keyed
                .map(|(address, key)| address.with_hash_key(key))
                .collect::<Vec<_>>()
        };
        let moved = addresses(6).split_off(3);
        let (before, after) = (keyed(addresses(3)), keyed(moved));
        let all = |addresses: &[Address]| ring(addresses, 64, 64).from(7).collect::<Vec<_>>();
        assert_eq!(all(&before), all(&after));
    }

    #[test]
    fn places_are_those_of_other_implementations() {
        // XXH64 with seed 0 of "10.0.0.1:50051_0", which is where grpc-go and Envoy put the first place of this address.
        let ring = ring(&addresses(1), 1, 1);
        assert_eq!(ring.places[0].hash, 0x7423_8964_7ea7_2c09);
    }

    #[test]
    fn the_values_of_a_key_are_hashed_as_one() {
        let ring = ring(&addresses(1), 1, 1);
        let hash = |values: &[&'static str]| {
            let mut metadata = HeaderMap::new();
            for value in values {
                metadata.append("key", value.parse().unwrap());
            }
            ring.hash_of(&metadata)
        };
        assert_eq!(hash(&["a", "b"]), Some(XxHash64::oneshot(0, b"a,b")));
        assert_eq!(hash(&["a", "b"]), hash(&["a,b"]));
        assert_eq!(hash(&["", ""]), hash(&[","]));
        assert_eq!(hash(&[]), None);
        assert_eq!(hash(&[""]), None);
    }
}
