//! Where a server takes connections from.

mod address;
mod configured;
mod many;
mod peer;
pub mod systemd;
mod unix;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tonic::{Code, Status};

use self::{
    address::{Address, EXAMPLES},
    unix::UnixSocket,
};
pub use self::{
    many::Listeners,
    peer::{PeerAddr, UnixPeer},
};
use crate::status;

/// How many connections may wait to be accepted, as with tokio's own listeners.
const BACKLOG: u32 = 1024;

/// A socket that a [`Server`](super::Server) takes connections from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), wireloom::Status> {
/// use wireloom::server::Listener;
///
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// println!("listening on {}", listener.target());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    #[cfg(feature = "tls")]
    security: Security,
}

#[derive(Debug)]
enum Socket {
    Tcp {
        listener: TcpListener,
        /// Whether others may listen on its address.
        shares_port: bool,
    },
    Unix(UnixSocket),
}

/// Whether connections of a listener are secured by TLS.
#[cfg(feature = "tls")]
#[derive(Debug, Default)]
pub(super) enum Security {
    /// As the server says.
    #[default]
    Server,
    Plaintext,
    Tls(Box<crate::tls::ServerTls>),
}

/// An accepted connection.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An accepted connection between two runtimes.
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    pub(super) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp(io) => Detached::Tcp(io.into_std()?),
            Self::Unix(io) => Detached::Unix(io.into_std()?),
        })
    }
}

impl Detached {
    /// Within the other runtime.
    pub(super) fn attach(self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(io) => Accepted::Tcp(TcpStream::from_std(io)?),
            Self::Unix(io) => Accepted::Unix(UnixStream::from_std(io)?),
        })
    }
}

impl Listener {
    /// Listens on `address`: `host:port` (port 0 takes a free one), with or without `http://`, `unix:/path/of/a.sock`, or, on
    /// Linux, `unix-abstract:name`, a socket without a file.
    ///
    /// A Unix socket's file must not exist yet, unless it is a socket that nobody listens on any more: that one is
    /// replaced. It is removed when the listener is dropped, unless another has taken its place. Behind its path there may be
    /// its permissions, in octal (`unix:/path/of/a.sock?mode=0660`), as [`unix_mode`](Self::unix_mode) sets them.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no address, UNAVAILABLE where the system refuses (in use, no permission).
    pub async fn bind(address: &str) -> Result<Self, Status> {
        let refused = |error| cannot_listen(address, error);
        match Address::parse(address)? {
            Address::Tcp(host) => {
                let bound = TcpListener::bind(host).await;
                bound.map(Self::from).map_err(refused)
            }
            Address::Unix { path, mode } => {
                let socket = UnixSocket::bind(path).await.map_err(refused)?;
                let listener = Self::of(Socket::Unix(socket));
                match mode {
                    Some(mode) => listener.unix_mode(mode),
                    None => Ok(listener),
                }
            }
        }
    }

    /// Listens on each of `addresses`; see [`bind`](Self::bind).
    ///
    /// # Errors
    ///
    /// That of the first that fails; no address is listened on then.
    pub async fn bind_all(
        addresses: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Listeners, Status> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(Self::bind(address.as_ref()).await?);
        }
        Ok(listeners.into())
    }

    /// Listens on a TCP address that others of the same user may listen on as well, if all do so by `SO_REUSEPORT`: the system
    /// spreads connections over them. For several processes on one port, such as an old and a new one.
    ///
    /// A server with several [`Runtimes`](super::Runtimes) listens once per runtime then, rather than hand out connections.
    /// The system spreads them by a hash of their addresses: many evenly, few not.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub async fn bind_shared(address: &str) -> Result<Self, Status> {
        let Address::Tcp(host) = Address::parse(address)? else {
            return Err(Status::invalid_argument(format!(
                "{address} is a Unix socket, and only addresses of TCP may be shared"
            )));
        };
        let bind = async {
            let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
            for resolved in tokio::net::lookup_host(host).await? {
                match listen_shared(resolved) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        bind.await.map_err(|error| cannot_listen(address, error))
    }

    fn of(socket: Socket) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            security: Security::default(),
        }
    }

    /// Sets the permissions of a Unix socket's file (`0o660`): who may write to it may connect. Others than the usual ones, by the
    /// process's umask, hold a moment after the file is there; a folder's permissions hold from the start.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a listener without such a file, UNAVAILABLE where the system refuses.
    pub fn unix_mode(self, mode: u32) -> Result<Self, Status> {
        let Socket::Unix(socket) = &self.socket else {
            return Err(Status::invalid_argument(format!(
                "{} has no file whose permissions could be set",
                self.target()
            )));
        };
        socket.set_mode(mode)?;
        Ok(self)
    }

    /// Secures the connections of this listener by `tls`, whatever the server's own is.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.security = Security::Tls(Box::new(tls));
        self
    }

    /// Leaves the connections of this listener in plaintext, though the server has TLS: for a Unix socket, or a port that
    /// only this machine reaches.
    #[cfg(feature = "tls")]
    pub fn plaintext(mut self) -> Self {
        self.security = Security::Plaintext;
        self
    }

    #[cfg(feature = "tls")]
    pub(super) fn security(&self) -> &Security {
        &self.security
    }

    /// The address of a TCP listener: where port 0 was asked for, it has the port that was taken.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp { listener, .. } => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// What a [`Channel`](crate::Channel) on this machine connects to: `http://127.0.0.1:50051` or `unix:/path`. Of a
    /// server with TLS it is `https://127.0.0.1:50051`, where its certificate is for that address.
    pub fn target(&self) -> Target<'_> {
        Target(self)
    }

    /// Says where it listens.
    pub(super) fn log(&self) {
        let (address, port) = match self.local_addr() {
            Some(address) => (address.ip().to_string(), Some(address.port())),
            None => (self.target().to_string(), None),
        };
        tracing::event!(
            target: "wireloom",
            tracing::Level::INFO,
            server.address = address,
            server.port = port,
            "listening"
        );
    }

    pub(super) async fn accept(&self) -> io::Result<(Accepted, PeerAddr)> {
        match &self.socket {
            Socket::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                // Without it, a response that fills no segment may wait for the acknowledgement of the last one.
                stream.set_nodelay(true)?;
                Ok((Accepted::Tcp(stream), PeerAddr::Tcp(address)))
            }
            Socket::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Accepted::Unix(stream), PeerAddr::Unix(peer)))
            }
        }
    }

    /// Another socket on the same address, where it may be shared; still outside of any runtime.
    pub(super) fn sibling(&self) -> Option<io::Result<std::net::TcpListener>> {
        match &self.socket {
            Socket::Tcp {
                listener,
                shares_port: true,
            } => {
                let sibling = listener.local_addr().and_then(bind_shared);
                Some(sibling.and_then(TcpListener::into_std))
            }
            _ => None,
        }
    }

    /// A sibling inside of the runtime that it is to serve.
    pub(super) fn of_sibling(sibling: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(sibling).map(Self::from)
    }
}

fn listen_shared(address: SocketAddr) -> io::Result<Listener> {
    Ok(Listener::of(Socket::Tcp {
        listener: bind_shared(address)?,
        shares_port: true,
    }))
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn cannot_listen(address: &str, error: io::Error) -> Status {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let refused = matches!(
        error.kind(),
        AddrInUse | AddrNotAvailable | PermissionDenied
    );
    let (code, examples) = match refused || address.starts_with("unix:") {
        true => (Code::Unavailable, ""),
        false => (Code::InvalidArgument, EXAMPLES),
    };
    let message = format!("cannot listen on {address}: {error} {examples}");
    status::with_source(code, message.trim_end(), error)
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::of(Socket::Tcp {
            listener,
            shares_port: false,
        })
    }
}

impl From<UnixListener> for Listener {
    /// The socket's file stays the caller's.
    fn from(listener: UnixListener) -> Self {
        Self::of(Socket::Unix(UnixSocket::of_caller(listener)))
    }
}

/// The target of a [`Listener`], to be shown or parsed.
#[derive(Debug)]
pub struct Target<'a>(&'a Listener);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.socket {
            Socket::Tcp { listener, .. } => match listener.local_addr() {
                Ok(mut address) => {
                    // All addresses of the machine are no address to connect to.
                    match address.ip() {
                        ip if !ip.is_unspecified() => {}
                        IpAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                        IpAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                    }
                    write!(f, "http://{address}")
                }
                Err(error) => write!(f, "unknown address ({error})"),
            },
            Socket::Unix(socket) => socket.fmt_target(f),
        }
    }
}
