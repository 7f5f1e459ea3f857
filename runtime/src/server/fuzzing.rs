//! Connections as a listener's are served, for the fuzz targets.

use std::sync::Arc;

use tokio::io::DuplexStream;
use tonic::Status;

use super::{
    Server,
    connection::serve,
    connections::{Entrance, IN_PROCESS_BUFFER},
    listener::PeerAddr,
};

/// The client's side of a connection to `server`, which may speak HTTP/1.1 where the server accepts it.
pub fn connect_as_from_outside(server: Server) -> Result<DuplexStream, Status> {
    let entrance = Entrance::in_plaintext(&server.shared(None)?);
    let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BUFFER);
    tokio::spawn(serve(ours, PeerAddr::InProcess, Arc::new(entrance), None));
    Ok(theirs)
}
