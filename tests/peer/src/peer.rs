//! The peer: its script, its connections, and what it has seen.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use h2::Reason;
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    act::{Act, Last},
    connection::serve,
    seen::Seen,
    wire::Injector,
};

/// What a peer does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// What becomes of each connection that is made; after these, all are accepted.
    pub connections: Vec<Connect>,
    /// What becomes of each request, in the order they come; after these, all are answered.
    pub requests: Vec<Act>,
    /// How many streams a connection may have at a time; `None` for any number.
    pub max_concurrent_streams: Option<u32>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// It is served.
    Accept,
    /// It is not made; over TCP, it is closed at once.
    Refuse,
    /// It is made, and then nothing is said on it.
    Stall,
}

/// An HTTP/2 peer that answers as scripted, and records what came.
#[derive(Debug)]
pub struct Peer {
    script: Mutex<VecDeque<Act>>,
    connects: Mutex<VecDeque<Connect>>,
    pub(crate) max_concurrent_streams: Option<u32>,
    connections: Mutex<Vec<Injector>>,
    seen: watch::Sender<Vec<Seen>>,
}

impl Peer {
    /// A peer that does one of `requests` with each request, and answers those that come after.
    pub fn new(requests: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Self::scripted(Script {
            requests: requests.into_iter().collect(),
            ..Script::default()
        })
    }

    /// A peer that follows `script`.
    pub fn scripted(script: Script) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.requests.into()),
            connects: Mutex::new(script.connections.into()),
            max_concurrent_streams: script.max_concurrent_streams,
            connections: Mutex::default(),
            seen: watch::Sender::default(),
        })
    }

    /// Connects over memory.
    ///
    /// # Errors
    ///
    /// Where the script refuses the connection.
    pub fn connect(self: &Arc<Self>) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        match self.next_connect() {
            Connect::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
            Connect::Stall => drop(tokio::spawn(hold(ours))),
            Connect::Accept => drop(tokio::spawn(serve(Arc::clone(self), ours))),
        }
        Ok(theirs)
    }

    /// Listens on a port of this machine, until the runtime ends.
    ///
    /// # Errors
    ///
    /// Where there is no port to be had.
    pub async fn listen(self: &Arc<Self>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let peer = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                peer.take(io);
            }
        });
        Ok(address)
    }

    fn take(self: &Arc<Self>, io: TcpStream) {
        // Without it, small frames wait for each other.
        let _ = io.set_nodelay(true);
        match self.next_connect() {
            Connect::Refuse => {}
            Connect::Stall => drop(tokio::spawn(hold(io))),
            Connect::Accept => drop(tokio::spawn(serve(Arc::clone(self), io))),
        }
    }

    /// The requests that have come so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }

    /// Waits until `true_of` what has come.
    pub async fn until(&self, true_of: impl FnMut(&Vec<Seen>) -> bool) {
        let mut seen = self.seen.subscribe();
        let found = seen.wait_for(true_of).await;
        found.expect("the peer holds the sender");
    }

    /// Sends a GOAWAY on a connection, counted from 1, once what was sent before is on the wire.
    pub fn go_away(&self, connection: usize, last: Last, reason: Reason) {
        go_away(&self.injector(connection), last.id(0), reason);
    }

    /// Closes a connection, counted from 1, once what was sent before is on the wire.
    pub fn close(&self, connection: usize) {
        self.injector(connection).close();
    }

    /// Stops reading from and writing to a connection, counted from 1, and leaves it open: as a host does that is gone.
    pub fn freeze(&self, connection: usize) {
        self.injector(connection).freeze();
    }

    fn injector(&self, connection: usize) -> Injector {
        lock(&self.connections)[connection - 1].clone()
    }

    /// Counts a new connection; gives its number.
    pub(crate) fn count_connection(&self, injector: Injector) -> usize {
        let mut connections = lock(&self.connections);
        connections.push(injector);
        connections.len()
    }

    fn next_connect(&self) -> Connect {
        lock(&self.connects).pop_front().unwrap_or(Connect::Accept)
    }

    pub(crate) fn next_act(&self) -> Act {
        let act = lock(&self.script).pop_front();
        act.unwrap_or_else(|| Act::read().answer())
    }

    /// Records a request; gives its index.
    pub(crate) fn record(&self, request: Seen) -> usize {
        let mut index = 0;
        self.seen.send_modify(|seen| {
            index = seen.len();
            seen.push(request);
        });
        index
    }

    /// Records more of a request.
    pub(crate) fn update(&self, index: usize, update: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(|seen| update(&mut seen[index]));
    }
}

/// Writes a GOAWAY frame (RFC 9113, section 6.8).
pub(crate) fn go_away(injector: &Injector, last: u32, reason: Reason) {
    let mut payload = last.to_be_bytes().to_vec();
    payload.extend_from_slice(&u32::from(reason).to_be_bytes());
    injector.frame(0x7, 0, 0, &payload);
}

/// Keeps a connection open.
async fn hold<T>(io: T) {
    let _io = io;
    std::future::pending::<()>().await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
