use std::time::Duration;

use super::{super::Server, budget::Budget, frame_guard::Allowance};

/// What clients may cost, beside what their calls do.
#[derive(Clone, Debug)]
pub(in crate::server) struct ProtectionLimits {
    pub(in crate::server) max_header_list_size: u32,
    pub(in crate::server) max_connections: usize,
    pub(in crate::server) max_connections_per_address: usize,
    pub(in crate::server) handshake_timeout: Duration,
    pub(in crate::server) max_unsent_bytes: usize,
    /// How long a write may wait without any of it being taken.
    pub(in crate::server) write_stall_timeout: Duration,
    pub(in crate::server) allowance: Allowance,
    /// Calls that are reset; unless it is set, by how many a client may have at a time.
    pub(in crate::server) resets: Option<Budget>,
}

impl Default for ProtectionLimits {
    fn default() -> Self {
        Self {
            max_header_list_size: 16 << 10,
            max_connections: 10_000,
            max_connections_per_address: usize::MAX,
            handshake_timeout: Duration::from_secs(10),
            max_unsent_bytes: 16 << 20,
            write_stall_timeout: Duration::from_secs(60),
            allowance: Allowance::default(),
            resets: None,
        }
    }
}

impl Server {
    /// The largest metadata of a request, in bytes as HTTP/2 counts them: names, values, and 32 for each. The default is
    /// 16 KiB, the hard limit of gRPC's C core.
    ///
    /// Clients are told (SETTINGS_MAX_HEADER_LIST_SIZE). A call with more is answered with the HTTP status 431, which
    /// they read as a failure of the call; one with four times as much ends its connection.
    pub fn max_header_list_size(mut self, bytes: u32) -> Self {
        self.options.protection.max_header_list_size = bytes;
        self
    }

    /// The most connections that are served at a time. The default is 10,000; one beyond is closed at once.
    ///
    /// Where the system allows the process fewer open files than that, their limit comes first: connections then wait in
    /// the system's queue until others are closed.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.protection.max_connections = connections;
        self
    }

    /// The most connections that one IP address has at a time, or of IPv6 one network of 64 bits. There is no limit by
    /// default: behind a proxy, all clients have one address.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.options.protection.max_connections_per_address = connections;
        self
    }

    /// How long a client may take to begin to speak HTTP/2: until its preface and its SETTINGS have come. The default is 10
    /// seconds. A handshake of TLS has a limit of its own before that.
    ///
    /// A client that has connected and makes no call is none that is late: [`max_connection_idle`](Self::max_connection_idle) is
    /// for those.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.protection.handshake_timeout = timeout;
        self
    }

    /// The bytes of responses that may wait for the peer of one connection, to read them or to make room for them. The default
    /// is 16 MiB; [`usize::MAX`] is no limit.
    ///
    /// While there are so many, the connection's next calls wait before their handlers, and its streams are not asked for
    /// more; their deadlines hold. What handlers that are under way make still comes on top, and messages of less than 4 KiB
    /// are not counted. A server that axum mounts has no such limit, and of services that tonic generated it is the streams
    /// alone that wait.
    pub fn max_unsent_bytes(mut self, bytes: usize) -> Self {
        self.options.protection.max_unsent_bytes = bytes;
        self
    }

    /// How often a client may ping while the server says nothing else. The default is every 5 seconds; zero lets it ping
    /// as it likes.
    ///
    /// The third ping that comes too early ends the connection with GOAWAY, ENHANCE_YOUR_CALM and "too_many_pings", as
    /// [gRFC A8] says, where the default is 5 minutes: that cuts off clients that ping as often as they may, which is
    /// every 10 seconds.
    ///
    /// [gRFC A8]: https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
    pub fn min_ping_interval(mut self, interval: Duration) -> Self {
        self.options.protection.allowance.min_ping_interval = interval;
        self
    }

    /// How long a connection may take nothing of what is written to it before it is ended. The default is 60 seconds.
    pub fn write_stall_timeout(mut self, timeout: Duration) -> Self {
        self.options.protection.write_stall_timeout = timeout;
        self
    }

    /// The frames beside its calls that a client may send: SETTINGS, priorities, unknown ones, pings and their answers. The
    /// default is 1000 at once, and 200 a second; one beyond ends the connection ("too_many_control_frames").
    ///
    /// Each client begins with two or three of them, so that a burst of less than 3 fails `serve` with INVALID_ARGUMENT.
    pub fn control_frame_budget(mut self, budget: Budget) -> Self {
        self.options.protection.allowance.control_frames = budget;
        self
    }

    /// The updates of windows that a client may send, beside one for every 8 bytes that were sent to it, and the resets of
    /// streams that are not there any more. The default is 4000 at once, and 1000 a second; one beyond ends the connection
    /// ("too_many_window_updates", "too_many_resets").
    pub fn window_update_budget(mut self, budget: Budget) -> Self {
        self.options.protection.allowance.window_updates = budget;
        self
    }

    /// The calls that a client may have reset before they are answered; each that is answered makes up for one, and one that has
    /// waited for 10 milliseconds, or whose deadline has passed, counts as a tenth. The default is 1000 at once, or twice
    /// [`max_concurrent_streams`](Self::max_concurrent_streams) if that is more, and a tenth of that a second; one beyond ends
    /// the connection ("too_many_resets").
    ///
    /// A client that means no harm may cancel all its calls at once.
    pub fn reset_budget(mut self, budget: Budget) -> Self {
        self.options.protection.resets = Some(budget);
        self
    }

    /// The streams that a client may open beyond [`max_concurrent_streams`](Self::max_concurrent_streams), or with a head that
    /// is malformed or too large. The default is 10,000 at once, or ten times as many as it may have if that is more, and a tenth
    /// of that a second; one beyond ends the connection ("too_many_refused_streams").
    ///
    /// A client that has not read the server's SETTINGS yet may open thousands.
    pub fn refused_stream_budget(mut self, budget: Budget) -> Self {
        self.options.protection.allowance.refused_streams = Some(budget);
        self
    }

    /// Does not count the frames that clients send beside their calls, such as pings and settings, nor streams that are refused.
    /// Counting them costs some 220 instructions a unary call, which are for nothing where all clients are trusted. In a
    /// configuration, it is `flood_protection = "off"`.
    pub fn without_flood_protection(mut self) -> Self {
        self.options.protection.allowance.counts_frames = false;
        self
    }
}
