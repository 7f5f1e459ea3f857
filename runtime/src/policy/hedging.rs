use std::time::Duration;

use super::{InvalidPolicy, StatusCodes};

/// [gRFC A6]'s `hedgingPolicy`: another attempt goes out before the first has answered.
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgingPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// The time between one attempt and the next; zero sends all at once.
    pub hedging_delay: Duration,
    /// The codes that do not end the call while other attempts run; may be empty.
    pub non_fatal_status_codes: StatusCodes,
}

impl HedgingPolicy {
    /// Checks what the proposal demands of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold.
    pub const fn validate(&self) -> Result<(), InvalidPolicy> {
        if self.max_attempts < 2 {
            return Err(InvalidPolicy(
                "max_attempts must be at least 2: it counts the first attempt",
            ));
        }
        Ok(())
    }
}
