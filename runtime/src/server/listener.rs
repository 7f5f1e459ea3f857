use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tonic::{Code, Status};

use crate::status;

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
    /// Listens on `address`: `host:port` (port 0 takes a free one) or `unix:/path/of/a.sock`.
    ///
    /// A Unix socket's file must not exist yet, unless it is a socket that nobody listens on any more: that one is
    /// replaced. It is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no address, UNAVAILABLE where the system refuses (in use, no permission).
    pub async fn bind(address: &str) -> Result<Self, Status> {
        let failed = |error: io::Error| {
            let code = match error.kind() {
                io::ErrorKind::InvalidInput => Code::InvalidArgument,
                _ => Code::Unavailable,
            };
            status::with_source(
                code,
                format!("cannot listen on {address:?}: {error}"),
                error,
            )
        };
        match address.strip_prefix("unix:") {
            Some(path) => {
                let path = Path::new(path.strip_prefix("//").unwrap_or(path));
                let listener = bind_unix(path).await.map_err(failed)?;
                Ok(Self(Socket::Unix(UnixSocket {
                    listener,
                    path: Some(path.to_owned()),
                })))
            }
            None => TcpListener::bind(address)
                .await
                .map(Self::from)
                .map_err(failed),
        }
    }

    /// The address of a TCP listener: where port 0 was asked for, it has the port that was taken.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// What a [`Channel`](crate::Channel) on this machine connects to: `http://127.0.0.1:50051` or `unix:/path`.
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
                Ok(address) => write!(f, "http://{address}"),
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
}
