//! How attempts are told apart, on the wire, in spans and in metrics.

/// Which attempt of its call this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptNumber {
    /// Counts all attempts of the call.
    pub(crate) index: usize,
    /// The attempts before this one, transparent ones apart: `grpc-previous-rpc-attempts`.
    pub(crate) previous_attempts: u32,
    /// Whether it sends again, at once, what no handler saw.
    pub(crate) transparent: bool,
}
