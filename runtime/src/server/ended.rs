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

    /// Tells who looks at the log in detail of a call of `method` that its handler did not end.
    pub(super) fn log(&self, method: &str) {
        match self {
            Self::Early(status) => log_early(method, status.code()),
            // Its caller's clock was a little faster.
            Self::Reset(status) if status.code() == Code::DeadlineExceeded => {
                log_early(method, status.code());
            }
            Self::Ok | Self::Answered(_) | Self::Unheard(_) | Self::Reset(_) => {}
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

/// Tells of a call that ended before it was answered.
pub(super) fn log_early(method: &str, code: Code) {
    match code {
        Code::DeadlineExceeded => {
            tracing::debug!(target: "wireloom", method, "a call ran past its deadline");
        }
        Code::Unavailable => tracing::debug!(target: "wireloom", method, "a call was cut off"),
        // Of a handler that panicked, an event has told already.
        _ => {}
    }
}

/// What a caller that has gone away would have been answered.
pub(super) struct Unheard(pub(super) Status);
