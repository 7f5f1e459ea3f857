//! The clients that are measured, behind one trait.

pub mod connect;
pub mod h2;
pub mod tonic;
pub mod volo;
pub mod wireloom;

use std::{future::Future, net::SocketAddr};

use crate::{Error, message::Message};

/// A client of the echo service, with one connection of its own.
pub trait Client: Clone + Send + Sync + Sized + 'static {
    /// A request, ready to be sent any number of times.
    type Request: Clone + Send + Sync + 'static;
    /// What keeps a stream open.
    type Open: Send + 'static;

    fn connect(address: SocketAddr) -> impl Future<Output = Result<Self, Error>> + Send;

    /// So many connections behind one handle, where the implementation has such; otherwise as many clients.
    fn pool(
        address: SocketAddr,
        connections: usize,
    ) -> impl Future<Output = Result<Vec<Self>, Error>> + Send {
        async move {
            let mut clients = Vec::new();
            for _ in 0..connections {
                clients.push(Self::connect(address).await?);
            }
            Ok(clients)
        }
    }

    /// A request with `message`, to be answered `copies` times where the answers are many.
    fn request(message: Message, copies: u32) -> Result<Self::Request, Error>;

    fn unary(&self, request: Self::Request) -> impl Future<Output = Result<(), Error>> + Send;

    /// Sends `count` requests.
    fn up(
        &self,
        request: Self::Request,
        count: u32,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives how many responses came.
    fn down(&self, request: Self::Request) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Sends `count` requests; gives how many responses came.
    fn both(
        &self,
        request: Self::Request,
        count: u32,
    ) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Opens a stream both ways, on which one message has gone each way.
    fn open(
        &self,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Open, Error>> + Send;
}
