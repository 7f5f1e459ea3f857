//! Servers in this process, reached over memory.

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::Arc,
};

use tokio::io::DuplexStream;

/// What takes connections over memory.
pub(crate) trait Accept: Send + Sync + 'static {
    /// The client's side of a new connection, the other side of which is served by now.
    fn connect(self: Arc<Self>) -> io::Result<DuplexStream>;
}

/// A server in this process, as an address: each is another than any other.
#[derive(Clone)]
pub(crate) struct InProcess {
    name: &'static str,
    server: Arc<dyn Accept>,
}

impl InProcess {
    pub(crate) fn new(name: &'static str, server: Arc<dyn Accept>) -> Self {
        Self { name, server }
    }

    pub(crate) fn connect(&self) -> io::Result<DuplexStream> {
        Arc::clone(&self.server).connect()
    }

    fn id(&self) -> *const () {
        Arc::as_ptr(&self.server).cast()
    }
}

impl PartialEq for InProcess {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for InProcess {}

impl Hash for InProcess {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Display for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InProcess({})", self.name)
    }
}

#[cfg(test)]
impl Accept for wireloom_peer::Peer {
    fn connect(self: Arc<Self>) -> io::Result<DuplexStream> {
        wireloom_peer::Peer::connect(&self)
    }
}
