//! What the peer saw.

use h2::Reason;
use http::HeaderMap;
use tokio::time::Instant;

/// A request as the peer saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its headers came.
    pub at: Instant,
    /// The number of its connection, from 1.
    pub connection: usize,
    /// The id of its stream.
    pub stream: u32,
    /// `:path`.
    pub path: String,
    /// The other fields.
    pub headers: HeaderMap,
    /// The DATA that has come so far.
    pub body: Vec<u8>,
    /// Whether the caller has said all that it has to say.
    pub half_closed: bool,
    /// Why the caller reset the stream, where it has.
    pub reset: Option<Reason>,
}

impl Seen {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole messages in the body so far, without their framing.
    pub fn messages(&self) -> Vec<&[u8]> {
        let mut rest = &self.body[..];
        let mut messages = Vec::new();
        while let [_, a, b, c, d, after @ ..] = rest {
            let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let Some((message, after)) = after.split_at_checked(len) else {
                break;
            };
            messages.push(message);
            rest = after;
        }
        messages
    }

    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.half_closed || self.reset.is_some()
    }
}
