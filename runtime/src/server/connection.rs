//! Connections: taken from a listener, spoken HTTP/2 with, ended together.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use h2::server::Builder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::{
    Shutdown,
    first_poll::FirstPolls,
    gate::Gate,
    lifetime::{Lifetime, Step},
    listener::{Accepted, Listener, PeerAddr},
    options::Options,
    peer::Peer,
    router::{Router, tells_of_server},
    shutdown::Phases,
    stream,
};
use crate::{
    deferred::{Deferred, Turns},
    heard::Listening,
    limits::{CONNECTION_WINDOW, MAX_STREAM_ERRORS, REMEMBERED_RESETS, STREAM_WINDOW},
    memory::Accept,
};

/// How long accepting rests after the system refused it, such as for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How long a peer may take to begin to speak HTTP/2.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// What each side of a connection in this process may have written before the other has read it.
const IN_PROCESS_BUFFER: usize = 256 << 10;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) router: Arc<Router>,
    /// Where not everyone may call everything.
    pub(super) gate: Option<Gate>,
    pub(super) options: Options,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Acceptor>,
    pub(super) phases: Phases,
    pub(super) calls: TaskTracker,
}

/// The connections of a server.
pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Connections {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had, and for authorization that nobody could meet.
    pub(super) fn new(router: Arc<Router>, options: Options) -> Result<Self, Status> {
        let shared = Shared {
            gate: Gate::new(&router, &options)?,
            router,
            #[cfg(feature = "tls")]
            tls: options
                .tls
                .clone()
                .map(crate::tls::ServerTls::acceptor)
                .transpose()?,
            options,
            phases: Phases::default(),
            calls: TaskTracker::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            tasks: TaskTracker::new(),
        })
    }

    /// Takes connections, for ever.
    pub(super) async fn accept_from(&self, listener: &Listener) -> Infallible {
        loop {
            let shared = Arc::clone(&self.shared);
            match listener.accept().await {
                Ok((Accepted::Tcp(io), peer)) => drop(self.tasks.spawn(serve(io, peer, shared))),
                Ok((Accepted::Unix(io), peer)) => drop(self.tasks.spawn(serve(io, peer, shared))),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "wireloom", %error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Lets calls end within `timeout`, unless `cut_off` is ready before, and cuts off the rest.
    pub(super) async fn shut_down(
        &self,
        timeout: Duration,
        cut_off: impl Future<Output = ()>,
    ) -> Shutdown {
        self.tasks.close();
        let calls = &self.shared.calls;
        self.shared
            .phases
            .run(timeout, cut_off, self.tasks.wait(), || calls.len())
            .await
    }
}

impl Accept for Connections {
    fn connect(self: Arc<Self>) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BUFFER);
        tokio::spawn(async move {
            let served = serve_http2(ours, Peer::new(PeerAddr::InProcess), &self.shared);
            if let Err(error) = served.await {
                tracing::debug!(target: "wireloom", peer = "in-process", %error, "connection ended");
            }
        });
        Ok(theirs)
    }
}

/// A server that is dropped rather than shut down leaves nobody served.
impl Drop for Connections {
    fn drop(&mut self) {
        self.shared.phases.end();
    }
}

/// Whether the peer went away before its connection was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected
    )
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin>(io: T, addr: PeerAddr, shared: Arc<Shared>) {
    let closed = shared.phases.closed();
    tokio::select! {
        served = serve_secured(io, addr, &shared) => if let Err(error) = served {
            tracing::debug!(target: "wireloom", peer = ?addr, error, "connection ended");
        },
        () = closed.cancelled() => {}
    }
}

async fn serve_secured<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    addr: PeerAddr,
    shared: &Arc<Shared>,
) -> Result<(), String> {
    #[cfg(feature = "tls")]
    if let Some(tls) = &shared.tls {
        // On the heap, so that a connection in plaintext has no room for what TLS needs.
        return Box::pin(serve_tls(tls, io, addr, shared)).await;
    }
    let served = serve_http2(io, Peer::new(addr), shared).await;
    served.map_err(|error| error.to_string())
}

#[cfg(feature = "tls")]
async fn serve_tls<T: AsyncRead + AsyncWrite + Unpin>(
    tls: &crate::tls::Acceptor,
    io: T,
    addr: PeerAddr,
    shared: &Arc<Shared>,
) -> Result<(), String> {
    let draining = shared.phases.draining();
    let (io, identity) = tokio::select! {
        accepted = tls.accept(io) => accepted?,
        // A peer that has not shaken hands yet has no call to lose.
        () = draining.cancelled() => return Ok(()),
    };
    let peer = Peer::with_identity(addr, identity);
    let served = serve_http2(io, peer, shared).await;
    served.map_err(|error| error.to_string())
}

async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    peer: Peer,
    shared: &Arc<Shared>,
) -> Result<(), h2::Error> {
    let turns = Turns::default();
    let mut served = pin!(serve_calls(io, peer, shared, &turns));
    poll_fn(|cx| {
        turns.next();
        served.as_mut().poll(cx)
    })
    .await
}

async fn serve_calls<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    peer: Peer,
    shared: &Arc<Shared>,
    turns: &Turns,
) -> Result<(), h2::Error> {
    let mut lifetime = Lifetime::new(shared.options.lifetime, &shared.phases);
    let heard = shared.options.lifetime.heard();
    let io = Listening::new(io, heard.clone());

    let max_streams = shared.options.max_concurrent_streams;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(max_streams)
        // Calls whose deadline passes while the network stands still arrive together with their cancellation, all at once:
        // that is no attack, and `h2`'s own limit of 20 would end the connection.
        .max_pending_accept_reset_streams(max_streams as usize)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS));
    let handshake = builder.handshake(Deferred::with_turns(io, turns.clone()));
    let mut connection = tokio::select! {
        connection = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => match connection {
            Ok(connection) => connection?,
            Err(_) => return Ok(()),
        },
        // A peer that has not said a word yet has no call to lose.
        () = lifetime.draining().cancelled() => return Ok(()),
    };
    lifetime.begin(heard, connection.ping_pong());
    let mut first_polls = FirstPolls::new(shared.calls.clone(), turns.clone());
    loop {
        let next = poll_fn(|cx| match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                // Who watches the server itself is no reason to go on.
                let is_watcher = tells_of_server(request.uri().path());
                let cut_off = match is_watcher {
                    true => lifetime.draining().clone(),
                    false => lifetime.cut_off().clone(),
                };
                let shared = Arc::clone(shared);
                let call = stream::serve(shared, request, respond, peer.clone(), cut_off);
                match is_watcher {
                    true => drop(tokio::spawn(Box::pin(call))),
                    false => first_polls.start(call, cx),
                }
                Poll::Ready(Next::Started)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Next::Ended(Err(error))),
            Poll::Ready(None) => Poll::Ready(Next::Ended(Ok(()))),
            // A connection that always has a call does not miss this: a task may not read without end.
            Poll::Pending => lifetime
                .poll(cx, || connection.has_streams())
                .map(Next::Step),
        });
        match next.await {
            Next::Started => {}
            Next::Ended(ended) => return ended,
            Next::Step(Step::Drain) => connection.graceful_shutdown(),
            Next::Step(Step::Close) => return Ok(()),
        }
    }
}

/// What comes next on a connection.
enum Next {
    Started,
    Ended(Result<(), h2::Error>),
    Step(Step),
}
