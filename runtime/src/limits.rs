//! Defaults that both sides share.

/// The largest message that is received, as in every gRPC implementation: 4 MiB.
pub(crate) const MAX_RECEIVE_MESSAGE_SIZE: usize = 4 << 20;
