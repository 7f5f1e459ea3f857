//! Attempts that fail, and how far they came.

use h2::Reason;
use tonic::Status;

use crate::status;

/// An attempt that ended before it had response headers.
pub(crate) struct Failure {
    pub(super) reach: Reach,
    pub(super) status: Status,
}

/// How far an attempt that failed has come, which decides who may send another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It never left the client: the connection went away before the stream opened.
    NeverSent,
    /// The server did not process it, and said so: by REFUSED_STREAM or by a GOAWAY.
    Refused,
    /// It can be sent on no connection, or not whole, or is not to be sent, so no further attempt is made.
    Nowhere,
    /// It is for the policy: there is no connection to be had, or the server may have acted on it.
    Unknown,
}

impl Reach {
    pub(super) fn failed(self, status: Status) -> Failure {
        Failure {
            reach: self,
            status,
        }
    }
}

/// Why a stream did not open: its connection has ended, or the request cannot be sent on any.
pub(super) fn classify_unopened(error: h2::Error) -> Failure {
    let ended = error.is_io() || error.is_go_away() || error.is_remote();
    let reach = if ended {
        Reach::NeverSent
    } else {
        Reach::Nowhere
    };
    reach.failed(status::from_h2(error))
}

/// Whether the server can have acted on a stream that ended with `error`.
pub(super) fn classify(error: h2::Error) -> Failure {
    let refused = error.reason() == Some(Reason::REFUSED_STREAM) && error.is_remote();
    // With a peer's GOAWAY, h2 ends the streams above its last id, and those alone.
    let gone = error.is_go_away() && error.is_remote();
    let reach = if refused || gone {
        Reach::Refused
    } else {
        Reach::Unknown
    };
    reach.failed(status::from_h2(error))
}
