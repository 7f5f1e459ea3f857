use std::net::SocketAddr;

use tokio::net::UnixStream;

/// Where a call came from, in the extensions of its [`Request`](crate::Request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket: the peer has no address of its own, but a user.
    Unix(UnixPeer),
    /// A [channel of the same process](crate::Channel::from_service).
    InProcess,
}

/// Who connected to a Unix socket, as the system knows it (`SO_PEERCRED`): the peer cannot lie about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixPeer {
    /// The user, unless the system does not tell.
    pub user_id: Option<u32>,
    /// The user's group.
    pub group_id: Option<u32>,
    /// The process.
    pub process_id: Option<i32>,
}

impl UnixPeer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        match stream.peer_cred() {
            Ok(credentials) => Self {
                user_id: Some(credentials.uid()),
                group_id: Some(credentials.gid()),
                process_id: credentials.pid(),
            },
            Err(_) => Self::default(),
        }
    }
}
