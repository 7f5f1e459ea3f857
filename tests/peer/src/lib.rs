//! An HTTP/2 peer for tests: it answers as a script says, right or wrong, and records what came.
//!
//! A script is plain data: an [`Act`] per request, and what becomes of each connection. [`Peer::connect`] serves it over
//! memory, so that the clock may be paused; [`Peer::listen`] over TCP, for clients in other languages.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use wireloom_peer::{Act, Peer};
//!
//! // Refuses the first request, answers the second after a second, and all further ones at once.
//! let peer = Peer::new([Act::refuse_stream(), Act::read().wait(1000).answer()]);
//! let address = peer.listen().await?;
//! // ... a client calls `address` ...
//! assert_eq!(peer.seen().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! It knows no service: a message is bytes, or a text, encoded as `google.protobuf.StringValue`, which is what the type
//! `String` is to prost.
//!
//! An [`Authority`] makes the certificates of tests.

mod act;
mod certificates;
mod connection;
mod exchange;
mod peer;
pub mod raw;
mod seen;
mod wire;

pub use self::{
    act::{Act, Last, Step, fields, text},
    certificates::{Authority, Certified, CertifiedFiles},
    peer::{Connect, Peer, Script},
    seen::Seen,
};
