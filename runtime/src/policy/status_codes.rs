use std::fmt;

use tonic::Code;

/// A set of status codes.
///
/// ```
/// use wireloom::{Code, StatusCodes};
///
/// const RETRYABLE: StatusCodes = StatusCodes::new(&[Code::Unavailable, Code::Aborted]);
/// assert!(RETRYABLE.contains(Code::Aborted));
/// assert!(!RETRYABLE.contains(Code::Internal));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusCodes(u32);

impl StatusCodes {
    /// Makes a set of `codes`.
    pub const fn new(codes: &[Code]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < codes.len() {
            bits |= 1 << codes[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `code` is in the set.
    pub const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u32) != 0
    }

    /// Whether the set has no code.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = (0..17)
            .map(Code::from_i32)
            .filter(|code| self.contains(*code));
        f.debug_set().entries(codes).finish()
    }
}
