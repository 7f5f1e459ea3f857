//! The servers that are measured.

mod connect;
mod h2;
mod tonic;
mod volo;
mod wireloom;

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::{
    Error,
    contender::{Contender, Library},
};

const BACKLOG: u32 = 1024;

/// A listener on a free port of this machine. What it accepts inherits NODELAY, so that all servers have it.
pub fn listen() -> Result<TcpListener, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok(socket.listen(BACKLOG)?)
}

/// Serves for ever.
pub async fn serve(contender: Contender, listener: TcpListener) -> Result<(), Error> {
    match contender.library {
        Library::Wireloom => wireloom::serve(listener, contender.flavor).await,
        Library::Tonic => tonic::serve(listener).await,
        Library::Connect => connect::serve(listener).await,
        Library::Volo => volo::serve(listener).await,
        Library::H2 => h2::serve(listener).await,
        Library::Cpp => Err("C++ has a program of its own".into()),
    }
}
