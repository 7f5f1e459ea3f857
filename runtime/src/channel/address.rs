use std::{fmt, net::SocketAddr, path::PathBuf};

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
pub struct Address(pub(super) Transport);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A peer that a test scripts, over memory, so that the clock may be paused.
    #[cfg(test)]
    Scripted(super::scripted::Scripted),
}

impl Address {
    /// A Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self(Transport::Unix(path.into()))
    }

    /// The host's address, where it has one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Transport::Tcp(address) => Some(*address),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(Transport::Tcp(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Transport::Tcp(address) => address.fmt(f),
            Transport::Unix(path) => path.display().fmt(f),
            #[cfg(test)]
            Transport::Scripted(peer) => peer.fmt(f),
        }
    }
}
