//! What a served call came to.

use tonic::Status;

/// How a call ended.
pub(super) enum Ended {
    /// With what its handler answered.
    Answered(Status),
    /// With that, though its caller had gone away by then.
    Unheard(Status),
    /// Before that.
    Early(Status),
}

impl Ended {
    pub(super) fn answered(answer: Result<Status, Unheard>) -> Self {
        match answer {
            Ok(status) => Self::Answered(status),
            Err(Unheard(status)) => Self::Unheard(status),
        }
    }

    pub(super) fn status(&self) -> &Status {
        match self {
            Self::Answered(status) | Self::Unheard(status) | Self::Early(status) => status,
        }
    }
}

/// What a caller that has gone away would have been answered.
pub(super) struct Unheard(pub(super) Status);
