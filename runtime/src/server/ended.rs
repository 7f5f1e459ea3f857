//! What a served call came to.

use std::borrow::Cow;

use tonic::{Code, Status};

/// How a call ended.
pub(super) enum Ended {
    /// With OK, as most do: their status has nothing else to say.
    Ok,
    /// With what its handler answered.
    Answered(Status),
    /// With that, though its caller had gone away by then.
    Unheard(Status),
    /// Before that: by its deadline, or by the server.
    Early(Status),
    /// Before that, by its caller's reset.
    Reset(Status),
}

impl Ended {
    pub(super) fn answered(answer: Result<Status, Unheard>) -> Self {
        match answer {
            Ok(status) => Self::Answered(status),
            Err(Unheard(status)) => Self::Unheard(status),
        }
    }

    pub(super) fn status(&self) -> Cow<'_, Status> {
        match self {
            Self::Ok => Cow::Owned(Status::ok("")),
            Self::Answered(status)
            | Self::Unheard(status)
            | Self::Early(status)
            | Self::Reset(status) => Cow::Borrowed(status),
        }
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Ok => Code::Ok,
            Self::Answered(status)
            | Self::Unheard(status)
            | Self::Early(status)
            | Self::Reset(status) => status.code(),
        }
    }
}

/// What a caller that has gone away would have been answered.
pub(super) struct Unheard(pub(super) Status);
