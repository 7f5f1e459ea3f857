use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tonic::{Code, Status};

use crate::{channel::target, status};

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
pub struct Listener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// The file of a Unix socket, removed when the socket is closed.
#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: Option<PathBuf>,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// An accepted connection.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on `address`: `host:port` (port 0 takes a free one), with or without `http://`, or `unix:/path/of/a.sock`.
    ///
    /// A Unix socket's file must not exist yet, unless it is a socket that nobody listens on any more: that one is
    /// replaced. It is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no address, UNAVAILABLE where the system refuses (in use, no permission).
    pub async fn bind(address: &str) -> Result<Self, Status> {
        let bound = match address.strip_prefix("unix:") {
            Some(path) => {
                let path = target::unix(address, path)?;
                bind_unix(&path).await.map(|listener| {
                    Self(Socket::Unix(UnixSocket {
                        listener,
                        path: Some(path),
                    }))
                })
            }
            None => {
                let host = address.strip_prefix("http://").unwrap_or(address);
                TcpListener::bind(host.trim_end_matches('/'))
                    .await
                    .map(Self::from)
            }
        };
        bound.map_err(|error| cannot_listen(address, error))
    }

    /// The address of a TCP listener: where port 0 was asked for, it has the port that was taken.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// What a [`Channel`](crate::Channel) on this machine connects to: `http://127.0.0.1:50051` or `unix:/path`. Of a
    /// server with TLS it is `https://127.0.0.1:50051`, where its certificate is for that address.
    pub fn target(&self) -> Target<'_> {
        Target(self)
    }

    pub(super) async fn accept(&self) -> io::Result<(Accepted, PeerAddr)> {
        match &self.0 {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Without it, a response that fills no segment may wait for the acknowledgement of the last one.
                stream.set_nodelay(true)?;
                Ok((Accepted::Tcp(stream), PeerAddr::Tcp(address)))
            }
            Socket::Unix(UnixSocket { listener, .. }) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), PeerAddr::Unix))
            }
        }
    }
}

fn cannot_listen(address: &str, error: io::Error) -> Status {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let refused = matches!(
        error.kind(),
        AddrInUse | AddrNotAvailable | PermissionDenied
    );
    let (code, examples) = match refused || address.starts_with("unix:") {
        true => (Code::Unavailable, ""),
        false => (
            Code::InvalidArgument,
            " (examples: 127.0.0.1:50051, [::]:50051, unix:/run/greeter.sock)",
        ),
    };
    status::with_source(
        code,
        format!("cannot listen on {address}: {error}{examples}"),
        error,
    )
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale_socket(path).await => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Whether `path` is a socket that a process left behind.
async fn is_stale_socket(path: &Path) -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    UnixStream::connect(path).await.as_ref().is_err_and(refused)
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Socket::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    /// The socket's file stays the caller's.
    fn from(listener: UnixListener) -> Self {
        Self(Socket::Unix(UnixSocket {
            listener,
            path: None,
        }))
    }
}

/// The target of a [`Listener`], to be shown or parsed.
#[derive(Debug)]
pub struct Target<'a>(&'a Listener);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.0 {
            Socket::Tcp(listener) => match listener.local_addr() {
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
            Socket::Unix(UnixSocket { listener, .. }) => match listener.local_addr() {
                Ok(address) => write!(
                    f,
                    "unix:{}",
                    address.as_pathname().unwrap_or(Path::new("")).display()
                ),
                Err(error) => write!(f, "unknown address ({error})"),
            },
        }
    }
}

/// Where a call came from, in the extensions of its [`Request`](crate::Request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket: the peer has no address of its own.
    Unix,
    /// A [channel of the same process](crate::Channel::from_service).
    InProcess,
}
