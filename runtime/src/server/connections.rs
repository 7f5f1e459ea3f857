//! The connections of a server: taken from listeners, given to runtimes, ended together.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::io::DuplexStream;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::Status;

#[cfg(feature = "tls")]
use super::listener::Security;
use super::{
    Shutdown,
    admission::Admission,
    authorizer::Authorizer,
    certificate::Certificates,
    connection::{serve, serve_http2},
    listener::{Accepted, Listener, Listeners, PeerAddr},
    options::Options,
    peer::Peer,
    protection::{ConnectionPlace, ConnectionPlaces, Patient},
    refusals::{Limit, Refusals, Refused},
    router::Router,
    runtimes::{Held, Workers},
    settings,
    shutdown::Phases,
    web::HttpService,
};
use crate::memory::Accept;

/// How long accepting rests after the system refused it, such as for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What each side of a connection in this process may have written before the other has read it.
pub(super) const IN_PROCESS_BUFFER: usize = 256 << 10;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) router: Arc<Router>,
    /// Where not everyone may call everything.
    pub(super) authorizer: Option<Authorizer>,
    pub(super) admission: Admission,
    pub(super) options: Options,
    pub(super) phases: Phases,
    pub(super) calls: TaskTracker,
    pub(super) places: Arc<ConnectionPlaces>,
    pub(super) refusals: Arc<Refusals>,
}

impl Shared {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for authorization that nobody could meet, for limits that are not valid or let nobody in, and for names
    /// of what is not served.
    pub(super) fn new(
        router: Arc<Router>,
        mut options: Options,
        listeners: Option<&Listeners>,
    ) -> Result<Self, Status> {
        settings::refuse_too_little(&options)?;
        options.metrics.learn(router.methods());
        let admission = &options.admission;
        admission.refuse_unknown(&router, &options.origins)?;
        let certificates = Certificates::of(&options, listeners);
        let phases = Phases::default();
        Ok(Self {
            authorizer: Authorizer::new(&router, &options, certificates)?,
            router,
            admission: Admission::new(&options.admission)?,
            places: Arc::new(ConnectionPlaces::new(&options.protection)),
            options,
            refusals: Arc::new(Refusals::new(phases.closed())),
            phases,
            calls: TaskTracker::new(),
        })
    }
}

/// How the connections of a listener are served.
pub(super) struct Entrance {
    pub(super) shared: Arc<Shared>,
    /// Where requests pass HTTP layers, or are not all gRPC.
    pub(super) web: Option<HttpService>,
    /// Where HTTP/1.1 is spoken as well.
    #[cfg(feature = "http1")]
    pub(super) http1: Option<HttpService>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::Acceptor>,
}

/// The connections of a server.
pub(super) struct Connections {
    shared: Arc<Shared>,
    /// One for each listener.
    entrances: Vec<Arc<Entrance>>,
    tasks: TaskTracker,
    /// Unless the runtime that there is serves.
    workers: Option<Workers>,
}

impl Connections {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had, UNAVAILABLE where there is no room for the runtimes that are asked for.
    pub(super) fn new(shared: Arc<Shared>, listeners: &Listeners) -> Result<Self, Status> {
        Ok(Self {
            entrances: Entrance::of(&shared, listeners)?,
            tasks: TaskTracker::new(),
            workers: Workers::start(shared.options.runtimes)?,
            shared,
        })
    }

    /// Takes connections from `listeners`, for ever.
    pub(super) async fn accept_from(&self, listeners: &Listeners) -> Infallible {
        let accepting = listeners.iter().zip(&self.entrances);
        let mut accepting: Vec<_> = accepting
            .map(|(listener, entrance)| {
                Box::pin(accept(listener, entrance, |accepted, peer, place| {
                    self.start(accepted, peer, Arc::clone(entrance), place);
                }))
            })
            .collect();
        poll_fn(|cx| {
            // The first of them in a turn may leave none of it to the others.
            if !accepting.is_empty() {
                accepting.rotate_left(1);
            }
            for accepting in &mut accepting {
                let _ = accepting.as_mut().poll(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// Listens once more on each runtime of the server's own, until what comes back is dropped: where addresses may be shared.
    pub(super) fn listen_beside(&self, listeners: &Listeners) -> DropGuard {
        let until = CancellationToken::new();
        if let Some(workers) = &self.workers {
            for (listener, entrance) in listeners.iter().zip(&self.entrances) {
                let siblings = (0..workers.len()).map_while(|_| listener.sibling());
                let siblings = siblings.filter_map(|made| made.inspect_err(cannot_share).ok());
                workers.tell_each(siblings.map(|sibling| {
                    let tasks = self.tasks.clone();
                    let accepting = accept_beside(sibling, Arc::clone(entrance), tasks);
                    let accepting = until.clone().run_until_cancelled_owned(accepting);
                    move || drop(tokio::spawn(accepting))
                }));
            }
        }
        until.drop_guard()
    }

    fn start(
        &self,
        accepted: Accepted,
        peer: PeerAddr,
        entrance: Arc<Entrance>,
        place: ConnectionPlace,
    ) {
        let Some(workers) = &self.workers else {
            return spawn(&self.tasks, accepted, peer, entrance, place, None);
        };
        let tasks = self.tasks.clone();
        // A shutdown waits for it on its way, too.
        let counted = tasks.token();
        match accepted.detach() {
            Ok(detached) => workers.hand_out(move |held| {
                match detached.attach() {
                    Ok(accepted) => spawn(&tasks, accepted, peer, entrance, place, Some(held)),
                    Err(error) => cannot_hand_out(&error),
                }
                drop(counted);
            }),
            Err(error) => cannot_hand_out(&error),
        }
    }

    /// How many calls are under way.
    pub(super) fn calls(&self) -> usize {
        self.shared.calls.len()
    }

    /// Lets calls end within `timeout`, unless `cut_off` is ready before, and cuts off the rest.
    pub(super) async fn shut_down(
        mut self,
        timeout: Duration,
        cut_off: impl Future<Output = ()>,
    ) -> Shutdown {
        self.tasks.close();
        let calls = &self.shared.calls;
        let phases = &self.shared.phases;
        let drained = self.tasks.wait();
        let shutdown = phases.run(timeout, cut_off, drained, || calls.len()).await;
        if let Some(workers) = self.workers.take() {
            workers.end().await;
        }
        self.shared.refusals.tell_all();
        shutdown
    }
}

/// The connections of a server to channels of this process.
pub(super) struct InProcessConnections {
    entrance: Entrance,
}

impl InProcessConnections {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            entrance: Entrance::in_plaintext(&shared),
        }
    }
}

impl Accept for InProcessConnections {
    fn connect(self: Arc<Self>) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BUFFER);
        let options = &self.entrance.shared.options;
        let ours = Patient::new(ours, options.protection.write_stall_timeout);
        tokio::spawn(async move {
            let limits = &self.entrance.shared.options.protection;
            let peer = Peer::new(PeerAddr::InProcess);
            let served = serve_http2(ours, peer, &self.entrance, limits.handshake_timeout);
            if let Err(error) = served.await {
                tracing::debug!(target: "wireloom", peer = "in-process", %error, "connection ended");
            }
        });
        Ok(theirs)
    }
}

impl Drop for InProcessConnections {
    fn drop(&mut self) {
        self.entrance.shared.phases.end();
    }
}

/// A server that is dropped rather than shut down leaves nobody served.
impl Drop for Connections {
    fn drop(&mut self) {
        self.shared.phases.end();
    }
}

impl Entrance {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had.
    fn of(shared: &Arc<Shared>, listeners: &Listeners) -> Result<Vec<Arc<Self>>, Status> {
        #[cfg(feature = "tls")]
        let server_tls = match &shared.options.tls {
            Some(tls) => Some(acceptor(tls, None, &shared.options)?),
            None => None,
        };
        let entrances = listeners.iter().map(|_listener| {
            Ok(Arc::new(Self {
                #[cfg(feature = "tls")]
                tls: match _listener.security() {
                    Security::Server => server_tls.clone(),
                    Security::Plaintext => None,
                    Security::Tls(tls) => {
                        let own = tls.own_handshake_timeout();
                        Some(acceptor(tls, own, &shared.options)?)
                    }
                },
                ..Self::in_plaintext(shared)
            }))
        });
        entrances.collect()
    }

    pub(super) fn in_plaintext(shared: &Arc<Shared>) -> Self {
        Self {
            web: shared.options.web.around(shared),
            #[cfg(feature = "http1")]
            http1: shared.options.web.over_http1(shared),
            #[cfg(feature = "tls")]
            tls: None,
            shared: Arc::clone(shared),
        }
    }
}

#[cfg(feature = "tls")]
fn acceptor(
    tls: &crate::tls::ServerTls,
    own_handshake_timeout: Option<Duration>,
    options: &Options,
) -> Result<crate::tls::Acceptor, Status> {
    let timeout = own_handshake_timeout.unwrap_or(options.tls_handshake_timeout);
    let tls = tls.clone().handshake_timeout(timeout);
    tls.acceptor(options.web.alpn())
}

/// Takes connections on the runtime that this is called on, and serves them there.
async fn accept_beside(
    sibling: std::net::TcpListener,
    entrance: Arc<Entrance>,
    tasks: TaskTracker,
) {
    match Listener::of_sibling(sibling) {
        Ok(listener) => {
            let start = |accepted, peer, place| {
                spawn(&tasks, accepted, peer, Arc::clone(&entrance), place, None);
            };
            accept(&listener, &entrance, start).await;
        }
        Err(error) => cannot_share(&error),
    }
}

/// Hands connections of `listener` to `start`, for ever. Each has its place from here on, though what it is handed to may not get
/// to it for long.
async fn accept(
    listener: &Listener,
    entrance: &Entrance,
    start: impl Fn(Accepted, PeerAddr, ConnectionPlace),
) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((accepted, peer)) => match entrance.shared.places.take(peer) {
                Ok(place) => start(accepted, peer, place),
                Err(limit) => {
                    tracing::debug!(target: "wireloom", ?peer, limit, "connection refused");
                    let limit = Limit {
                        setting: limit,
                        of: None,
                    };
                    let refused = Refused::Connection(peer);
                    entrance.shared.refusals.count(limit, refused);
                }
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(target: "wireloom", %error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Serves a connection on the runtime that this is called on, which has it for as long as it is there.
fn spawn(
    tasks: &TaskTracker,
    accepted: Accepted,
    peer: PeerAddr,
    entrance: Arc<Entrance>,
    place: ConnectionPlace,
    held: Option<Held>,
) {
    match accepted {
        Accepted::Tcp(io) => drop(tasks.spawn(serve(io, peer, entrance, place, held))),
        Accepted::Unix(io) => drop(tasks.spawn(serve(io, peer, entrance, place, held))),
    }
}

fn cannot_hand_out(error: &io::Error) {
    tracing::warn!(target: "wireloom", %error, "a connection was lost on its way to its runtime");
}

fn cannot_share(error: &io::Error) {
    tracing::warn!(target: "wireloom", %error, "cannot listen on a shared address once more");
}

/// Whether the peer went away before its connection was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected
    )
}
