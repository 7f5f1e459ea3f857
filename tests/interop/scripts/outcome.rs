//! How a call went.

use std::collections::BTreeSet;

use serde::Deserialize;
use wireloom_peer::Peer;

use super::cases::Case;

/// How a call went, for its caller and for the peer.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    pub code: i32,
    /// Why it failed, where the peer says so.
    pub message: String,
    /// What it received.
    pub messages: Vec<String>,
    /// That of headers and trailers, status details among it; binary values in hexadecimal.
    pub metadata: BTreeSet<(String, String)>,
    /// What each attempt said of those before it.
    #[serde(skip)]
    previous_attempts: Vec<Option<String>>,
}

impl Outcome {
    /// With what the peer saw.
    pub fn seen_by(mut self, peer: &Peer, case: &Case) -> Self {
        for attempt in peer.seen() {
            assert!(attempt.header("grpc-timeout").is_some(), "{attempt:?}");
            let previous = attempt.header("grpc-previous-rpc-attempts");
            self.previous_attempts.push(previous.map(str::to_owned));
        }
        if !case.states_a_message() {
            self.message.clear();
        }
        self
    }
}
