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
    let peer = PeerAddr::InProcess;
    let place = entrance.shared.places.take(peer);
    let place = place.map_err(Status::resource_exhausted)?;
    tokio::spawn(serve(ours, peer, Arc::new(entrance), place, None));
    Ok(theirs)
}
