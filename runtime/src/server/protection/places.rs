use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{super::listener::PeerAddr, ProtectionLimits};

/// How many connections there may be, in all and of one address.
#[derive(Debug)]
pub(in crate::server) struct ConnectionPlaces {
    max: usize,
    taken: AtomicUsize,
    max_per_address: usize,
    /// Kept only where there is a limit.
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// That of one connection, which is free again once this is dropped.
#[derive(Debug)]
pub(in crate::server) struct ConnectionPlace {
    places: Arc<ConnectionPlaces>,
    address: Option<IpAddr>,
}

impl ConnectionPlaces {
    pub(in crate::server) fn new(limits: &ProtectionLimits) -> Self {
        Self {
            max: limits.max_connections,
            taken: AtomicUsize::new(0),
            max_per_address: limits.max_connections_per_address,
            by_address: Mutex::default(),
        }
    }

    /// # Errors
    ///
    /// The setting whose limit is reached.
    pub(in crate::server) fn take(
        self: &Arc<Self>,
        peer: PeerAddr,
    ) -> Result<ConnectionPlace, &'static str> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        // From here on, dropping it gives it back.
        let mut place = ConnectionPlace {
            places: Arc::clone(self),
            address: None,
        };
        if taken >= self.max {
            return Err("max_connections");
        }
        if self.max_per_address < usize::MAX
            && let PeerAddr::Tcp(address) = peer
        {
            let address = network_of(address.ip());
            let mut by_address = self.lock();
            let of_address = by_address.entry(address).or_default();
            if *of_address >= self.max_per_address {
                return Err("max_connections_per_address");
            }
            *of_address += 1;
            place.address = Some(address);
        }
        Ok(place)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one peer has: an address, or of IPv6 the 64 bits before those that a host chooses by itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut by_address = self.places.lock();
            if let Some(taken) = by_address.get_mut(&address) {
                *taken -= 1;
                if *taken == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(max: usize, max_per_address: usize) -> Arc<ConnectionPlaces> {
        Arc::new(ConnectionPlaces::new(&ProtectionLimits {
            max_connections: max,
            max_connections_per_address: max_per_address,
            ..ProtectionLimits::default()
        }))
    }

    fn tcp(address: &str) -> PeerAddr {
        PeerAddr::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_place_is_free_again_once_its_connection_is_gone() {
        let places = places(1, usize::MAX);
        let place = places.take(PeerAddr::InProcess).unwrap();
        let refused = places.take(PeerAddr::InProcess).unwrap_err();
        assert_eq!(refused, "max_connections");
        drop(place);
        places.take(PeerAddr::InProcess).unwrap();
    }

    #[test]
    fn an_address_has_its_own_limit_and_is_forgotten_with_its_last_connection() {
        let places = places(10, 1);
        let place = places.take(tcp("10.0.0.1:1000")).unwrap();
        let refused = places.take(tcp("[::ffff:10.0.0.1]:2000")).unwrap_err();
        assert_eq!(refused, "max_connections_per_address");
        places.take(tcp("10.0.0.2:1000")).unwrap();
        drop(place);
        assert!(places.lock().is_empty());
        places.take(tcp("10.0.0.1:3000")).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let places = places(10, 1);
        let _place = places.take(tcp("[2001:db8::1]:1000")).unwrap();
        assert!(places.take(tcp("[2001:db8::2]:1000")).is_err());
        places.take(tcp("[2001:db8:0:1::1]:1000")).unwrap();
    }
}
