use std::sync::OnceLock;

use tokio::sync::Notify;

/// What there is too much of. The texts are the debug data of the GOAWAY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Flood {
    Pings,
    Resets,
    /// Of streams that are not there any more.
    LateResets,
    ControlFrames,
    WindowUpdates,
    RefusedStreams,
}

impl Flood {
    /// As [gRFC A8](https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md) has it of pings, by which
    /// clients know to ping less often.
    pub(in crate::server) fn as_str(self) -> &'static str {
        match self {
            Self::Pings => "too_many_pings",
            Self::Resets | Self::LateResets => "too_many_resets",
            Self::ControlFrames => "too_many_control_frames",
            Self::WindowUpdates => "too_many_window_updates",
            Self::RefusedStreams => "too_many_refused_streams",
        }
    }

    /// The setting that allows no more.
    pub(in crate::server) fn limit(self) -> &'static str {
        match self {
            Self::Pings => "min_ping_interval",
            Self::Resets => "reset_budget",
            Self::LateResets | Self::WindowUpdates => "window_update_budget",
            Self::ControlFrames => "control_frame_budget",
            Self::RefusedStreams => "refused_stream_budget",
        }
    }
}

/// Tells the task of a connection to end it.
#[derive(Debug, Default)]
pub(in crate::server) struct Alarm {
    flood: OnceLock<Flood>,
    raised: Notify,
}

impl Alarm {
    /// The first flood counts.
    pub(in crate::server) fn raise(&self, flood: Flood) {
        if self.flood.set(flood).is_ok() {
            self.raised.notify_one();
        }
    }

    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get().copied()
    }

    /// Waits until it is raised.
    pub(in crate::server) async fn raised(&self) -> Flood {
        loop {
            if let Some(flood) = self.flood() {
                return flood;
            }
            self.raised.notified().await;
        }
    }
}
