//! Pings that find out whether a connection that is silent still lives ([gRPC's keepalive]).
//!
//! [gRPC's keepalive]: https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md

use std::{
    future::{pending, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::streams::Streams;
use crate::heard::Heard;

/// More often no server lets a client ping that follows gRFC A8.
const MIN_TIME: Duration = Duration::from_secs(10);

/// When a channel's connections are pinged.
#[derive(Clone, Debug)]
pub(super) struct Keepalive {
    pub(super) time: Duration,
    pub(super) timeout: Duration,
    pub(super) without_calls: bool,
    /// How often a server said that it was pinged too often: each time doubles the time.
    too_many: Arc<AtomicU32>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            time: Duration::MAX,
            timeout: Duration::from_secs(20),
            without_calls: false,
            too_many: Arc::default(),
        }
    }
}

impl Keepalive {
    /// A server closed a connection because it was pinged too often (gRFC A8: then the time is doubled).
    pub(super) fn slow_down(&self) {
        self.too_many.fetch_add(1, Ordering::Relaxed);
    }

    fn time(&self) -> Duration {
        let doubled = self.too_many.load(Ordering::Relaxed).min(16);
        self.time.max(MIN_TIME).saturating_mul(1 << doubled)
    }

    /// Pings the connection while it is silent; returns once it does not answer.
    pub(super) async fn watch(&self, mut pings: PingPong, heard: &Heard, streams: &Streams) {
        let mut silent_since = heard.last();
        let mut unanswered = false;
        loop {
            match silent_since.checked_add(self.time()) {
                Some(look) => sleep_until(look).await,
                None => return pending().await,
            }
            let last = heard.last();
            if last > silent_since {
                silent_since = last;
                continue;
            }
            if !self.without_calls && streams.open() == 0 {
                // Nobody waits for an answer. The next look is when the first call may have waited long enough.
                silent_since = Instant::now();
                continue;
            }
            let asked = Instant::now();
            // `h2` has one ping on the way at a time: one that was never answered is waited for again.
            if !unanswered && pings.send_ping(Ping::opaque()).is_err() {
                // The connection has ended, as its driver finds out.
                return pending().await;
            }
            // Whatever comes in is a sign of life.
            let pong = poll_fn(|cx| pings.poll_pong(cx));
            unanswered = timeout_at(asked + self.timeout, pong).await.is_err();
            if unanswered && heard.last() <= asked {
                return;
            }
            silent_since = heard.last().max(asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::channel::streams::Turns;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_said_something_after_a_ping_and_then_nothing_is_given_up() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (_sender, mut connection) = h2::client::Builder::new()
            .handshake::<_, bytes::Bytes>(near)
            .await
            .unwrap();
        let pings = connection.ping_pong().unwrap();
        tokio::spawn(connection);
        let _far = far;
        let keepalive = Keepalive {
            time: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            without_calls: true,
            too_many: Arc::default(),
        };
        let heard = Heard::new();
        let late = heard.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(11)).await;
            late.now();
        });
        let streams = Streams::new(Arc::new(Turns::new()));
        let watched = keepalive.watch(pings, &heard, &streams);
        let given_up = tokio::time::timeout(Duration::from_secs(3600), watched).await;
        assert!(given_up.is_ok(), "an hour of silence");
    }
}
