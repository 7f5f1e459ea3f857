//! Where servers listen.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::memory::InProcess;

/// Where one server of a target listens, as a [`Resolver`](super::resolver::Resolver) finds it.
///
/// ```
/// use wireloom::resolver::Address;
///
/// let tcp = Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], 50051)));
/// let unix = Address::unix("/run/greeter.sock");
/// assert_eq!(tcp.to_string(), "127.0.0.1:50051");
/// # assert_eq!(unix.to_string(), "/run/greeter.sock");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub(super) transport: Transport,
    weight: u32,
    hash_key: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Tcp(SocketAddr),
    Unix(PathBuf),
    InProcess(InProcess),
}

impl Address {
    /// A Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::of(Transport::Unix(path.into()))
    }

    pub(super) fn of(transport: Transport) -> Self {
        Self {
            transport,
            weight: 1,
            hash_key: None,
        }
    }

    /// Has the address get this many times the calls of an address of weight 1, where the balancing policy knows weights:
    /// [`RingHash`](crate::RingHash) does. The default is 1; 0 means 1. An address that is given twice has the sum.
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }

    /// What places the address on the ring of a [`RingHash`](crate::RingHash), instead of the address itself ([gRFC A76]):
    /// a name that the server keeps when it moves keeps its calls there, too. An empty one is none.
    ///
    /// [gRFC A76]: https://github.com/grpc/proposal/blob/master/A76-ring-hash-improvements.md
    pub fn with_hash_key(mut self, key: impl AsRef<str>) -> Self {
        self.hash_key = Some(key.as_ref().into()).filter(|key: &Arc<str>| !key.is_empty());
        self
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight
    }

    pub(super) fn hash_key(&self) -> Option<&str> {
        self.hash_key.as_deref()
    }

    /// Whether both lead to the same place, whatever the policy is to know of it.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.transport == other.transport
    }

    /// Adds an address to others; to itself, if it is among them.
    pub(super) fn add_to(self, addresses: &mut Vec<Self>) {
        let mut there = addresses.iter_mut();
        match there.find(|there| there.is_same_place(&self)) {
            Some(there) => there.weight = there.weight.saturating_add(self.weight),
            None => addresses.push(self),
        }
    }

    /// The host's address, where it has one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match &self.transport {
            Transport::Tcp(address) => Some(*address),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::of(Transport::Tcp(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Tcp(address) => address.fmt(f),
            // An abstract socket, as Linux's tools write it.
            Transport::Unix(path) => match path.to_string_lossy().strip_prefix('\0') {
                Some(name) => write!(f, "@{name}"),
                None => path.display().fmt(f),
            },
            Transport::InProcess(server) => server.fmt(f),
        }
    }
}
