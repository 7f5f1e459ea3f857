//! How connections are made: to one address, or to the first of several that answers.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request,
    uri::{Authority, PathAndQuery},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    address::{Address, Transport},
    connection::{Opened, handshake},
    keepalive::Keepalive,
    security::Security,
    subchannel::Owner,
    target,
};
use crate::{request_head, status};

/// How long one address may take before the next is tried beside it (RFC 8305, section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How a channel makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// The channel's target, for messages.
    pub(super) target: Arc<str>,
    pub(super) authority: Authority,
    pub(super) user_agent: HeaderValue,
    pub(super) security: Security,
    /// The budget of an attempt: name resolution, TCP, TLS and HTTP/2 together.
    pub(super) timeout: Duration,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) windows: Windows,
}

/// How much unread data a server may send, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) stream: u32,
    pub(super) connection: u32,
}

impl Connector {
    /// Connects to the first of `addresses` that answers by `deadline`, as [Happy Eyeballs] has it: each gets a head start
    /// before the next.
    ///
    /// [Happy Eyeballs]: https://www.rfc-editor.org/rfc/rfc8305
    pub(super) async fn connect(
        &self,
        addresses: &[Address],
        deadline: Instant,
        owner: &Owner,
    ) -> Result<Opened, Status> {
        let connected = match addresses {
            [] => return Err(Status::unavailable("there is no address")),
            [address] => timeout_at(deadline, self.connect_to(address, owner)).await,
            addresses => timeout_at(deadline, self.race(addresses, owner)).await,
        };
        let failure = match connected {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(failure)) => failure,
            Err(_) => Status::unavailable(format!("no connection within {:?}", self.timeout)),
        };
        let message = format!(
            "could not connect to {}: {}",
            self.target,
            failure.message()
        );
        Err(status::with_message(&failure, message))
    }

    /// The head of a call of the channel's own, without metadata.
    pub(super) fn request(&self, path: &'static str) -> Request<()> {
        let path = PathAndQuery::from_static(path);
        let uri = target::uri(self.security.scheme(), &self.authority, &path);
        request_head::of(uri, HeaderMap::new(), &self.user_agent)
    }

    async fn race(&self, addresses: &[Address], owner: &Owner) -> Result<Opened, Status> {
        let mut left: VecDeque<_> = interleaved(addresses).into();
        let mut attempts = JoinSet::new();
        let mut failures = Vec::new();
        loop {
            if let Some(address) = left.pop_front() {
                let (connector, owner) = (self.clone(), owner.clone());
                let attempt = async move {
                    let connected = connector.connect_to(&address, &owner).await;
                    connected.map_err(|failure| (address, failure))
                };
                attempts.spawn(attempt.in_current_span());
            }
            let head_start = Instant::now() + CONNECTION_ATTEMPT_DELAY;
            tokio::select! {
                Some(attempt) = attempts.join_next() => match attempt {
                    Ok(Ok(opened)) => return Ok(opened),
                    Ok(Err(failure)) => failures.push(failure),
                    Err(_) => {}
                },
                () = sleep_until(head_start), if !left.is_empty() => {}
            }
            if left.is_empty() && attempts.is_empty() {
                return Err(all_failed(failures));
            }
        }
    }

    async fn connect_to(&self, address: &Address, owner: &Owner) -> Result<Opened, Status> {
        match &address.transport {
            Transport::Tcp(addr) => {
                let io = TcpStream::connect(addr).await.map_err(unreachable)?;
                io.set_nodelay(true).map_err(unreachable)?;
                self.secure(io, address, owner).await
            }
            Transport::Unix(path) => {
                let io = UnixStream::connect(path).await.map_err(unreachable)?;
                self.secure(io, address, owner).await
            }
            Transport::InProcess(server) => {
                let io = server.connect().map_err(unreachable)?;
                // Nobody is in between.
                let opened = handshake(io, address, self, owner.clone()).await;
                opened.map_err(|error| Security::Plaintext.no_http2(error))
            }
        }
    }

    async fn secure<T>(&self, io: T, address: &Address, owner: &Owner) -> Result<Opened, Status>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let opened = match &self.security {
            Security::Plaintext => handshake(io, address, self, owner.clone()).await,
            #[cfg(feature = "tls")]
            Security::Tls(tls) => {
                handshake(tls.connect(io).await?, address, self, owner.clone()).await
            }
        };
        opened.map_err(|error| self.security.no_http2(error))
    }
}

fn all_failed(failures: Vec<(Address, Status)>) -> Status {
    let causes: Vec<_> = failures
        .iter()
        .map(|(address, failure)| format!("{address}: {}", failure.message()))
        .collect();
    Status::unavailable(causes.join("; "))
}

/// The addresses, those of both families in turn, that of the first first (RFC 8305, section 4).
fn interleaved(addresses: &[Address]) -> Vec<Address> {
    let is_v6 = |address: &Address| address.socket_addr().is_some_and(|addr| addr.is_ipv6());
    let first_is_v6 = addresses.first().is_some_and(is_v6);
    let (same, other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .cloned()
        .partition(|address| is_v6(address) == first_is_v6);
    let mut interleaved = Vec::with_capacity(addresses.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    while interleaved.len() < addresses.len() {
        interleaved.extend(same.next());
        interleaved.extend(other.next());
    }
    interleaved
}

fn unreachable(error: io::Error) -> Status {
    status::with_source(Code::Unavailable, error.to_string(), error)
}
