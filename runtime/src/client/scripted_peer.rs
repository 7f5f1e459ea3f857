//! Channels to a scripted peer, over memory.

use std::sync::Arc;

use tonic::Code;
use wireloom_peer::{Act, Peer, Seen};

use crate::channel::{Channel, ChannelBuilder};

pub(crate) trait Scripted {
    /// A channel to the peer.
    fn channel(&self) -> Channel {
        self.channel_with(|builder| builder)
    }

    /// A channel to the peer with options.
    fn channel_with(&self, options: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> Channel;
}

impl Scripted for Arc<Peer> {
    fn channel_with(&self, options: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> Channel {
        options(ChannelBuilder::scripted(Arc::clone(self)))
            .lazy()
            .unwrap()
    }
}

/// Fails with UNAVAILABLE, in Trailers-Only form.
pub(crate) fn unavailable() -> Act {
    Act::fail(Code::Unavailable)
}

/// What each attempt said of those before it.
pub(crate) fn previous_attempts(peer: &Peer) -> Vec<Option<String>> {
    let attempts = peer.seen().into_iter();
    attempts
        .map(|seen| seen.header("grpc-previous-rpc-attempts").map(str::to_owned))
        .collect()
}

/// When each attempt came, in milliseconds from the first.
pub(crate) fn times(peer: &Peer) -> Vec<u128> {
    let seen = peer.seen();
    let since_first = |attempt: &Seen| (attempt.at - seen[0].at).as_millis();
    seen.iter().map(since_first).collect()
}

/// Lets the peer see what the end of a call does to its attempts.
pub(crate) async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}
