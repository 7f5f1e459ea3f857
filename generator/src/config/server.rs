//! The table `[server]`, which servers read when they start.

use super::table::Table;
use crate::error::Error;

/// The settings that servers have; a test of the runtime holds them equal to what it has.
const KEYS: &[&str] = &[
    "adaptive_limit",
    "blocking_threshold",
    "compression_threshold",
    "control_frame_budget",
    "default_timeout",
    "exempt_from_limits",
    "flood_protection",
    "handshake_timeout",
    "keepalive",
    "keepalive_timeout",
    "lame_duck_time",
    "listen",
    "max_concurrent_calls",
    "max_concurrent_streams",
    "max_connection_age",
    "max_connection_age_grace",
    "max_connection_idle",
    "max_connections",
    "max_connections_per_address",
    "max_header_list_size",
    "max_message_size",
    "max_queue_time",
    "max_queued_calls",
    "max_receive_message_size",
    "max_send_message_size",
    "max_unsent_bytes",
    "min_ping_interval",
    "rate_limit",
    "refused_stream_budget",
    "reset_budget",
    "runtimes",
    "shutdown_timeout",
    "tls_handshake_timeout",
    "window_update_budget",
    "write_stall_timeout",
];

/// What the limits of a method or a service have.
const LIMITS: &[&str] = &[
    "adaptive_limit",
    "max_concurrent_calls",
    "max_queue_time",
    "max_queued_calls",
    "rate_limit",
];

/// Refuses keys that no server has. What their values may be, servers say.
pub(super) fn check(mut table: Table<'_>, errors: &mut Vec<Error>) {
    if let Some(methods) = table.table("method_limits", errors) {
        for (_, limits) in methods.tables(errors) {
            only(LIMITS, limits, errors);
        }
    }
    only(KEYS, table, errors);
}

fn only(keys: &[&str], mut table: Table<'_>, errors: &mut Vec<Error>) {
    for key in keys {
        table.pass(key);
    }
    table.finish(errors);
}
