//! The client's stack, outermost first: call span -> deadline and cancellation -> retries -> attempt -> connection.
//!
//! It works on encoded frames, so the four kinds of method and clients made by tonic share it, and it is compiled
//! once, not once per message type.

mod attempt;
mod bounds;
mod call;
mod replay;
mod response;
mod retry;
#[cfg(test)]
pub(crate) mod scripted_peer;
mod service;
#[cfg(test)]
mod tests;

use http::{HeaderMap, Response, uri::PathAndQuery};
use tonic::Status;
use tracing::Instrument as _;

pub use self::call::{
    BidiStreamingCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall,
};
pub use self::response::ResponseBody;
pub(crate) use self::retry::{AttemptNumber, RetryLimits};
use self::{bounds::Bounds, replay::Payload};
use crate::{
    channel::Channel,
    context::Context,
    deadline::{self, Deadline, GRPC_TIMEOUT},
    policy::AttemptPolicy,
    spans::CallSpan,
    status,
};

/// What all attempts of a call have in common, beside what they send.
pub(crate) struct CallHead {
    pub(crate) path: PathAndQuery,
    pub(crate) metadata: HeaderMap,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) attempts: AttemptPolicy,
}

impl CallHead {
    /// Takes a `grpc-timeout` that the caller put into the metadata as what it means: a bound of this call.
    fn take_timeout_from_metadata(&mut self) -> Result<(), Status> {
        if let Some(timeout) = self.metadata.remove(GRPC_TIMEOUT) {
            let timeout =
                deadline::decode_timeout(timeout.as_bytes()).map_err(Status::invalid_argument)?;
            self.deadline = Deadline::earliest(self.deadline, Some(Deadline::after(timeout)));
        }
        Ok(())
    }

    fn full_name(&self) -> &str {
        self.path.path().trim_start_matches('/')
    }
}

/// An attempt that ended before it had response headers.
pub(crate) enum Failure {
    /// The server did not process it: the connection went away as the stream opened, or the server refused it.
    Unprocessed(Status),
    /// It is for the policy: there is no connection to be had, or the server may have acted on it.
    Failed(Status),
}

impl Failure {
    fn into_status(self) -> Status {
        match self {
            Self::Unprocessed(status) | Self::Failed(status) => status,
        }
    }
}

/// Makes a call: its response is there as soon as it has headers.
pub(crate) async fn start(
    channel: &Channel,
    mut head: CallHead,
    payload: Payload,
) -> Result<Response<ResponseBody>, Status> {
    head.take_timeout_from_metadata()?;
    let context = Context::current();
    head.deadline = Deadline::earliest(head.deadline, context.deadline());

    let span = CallSpan::open(head.full_name(), channel.target(), context.trace());
    let mut bounds = Bounds::new(head.deadline, context.cancellation());
    let answer = if head.deadline.is_some_and(Deadline::is_expired) {
        Err(status::deadline_exceeded())
    } else {
        let attempt =
            |number| attempt::send(channel, &head, &payload, number, span.attempt(number));
        let attempts = retry::run(head.attempts, channel.retry_limits(), &payload, attempt);
        // One deadline spans all attempts and the waits between them.
        bounds.run(attempts.instrument(span.span().clone())).await
    };
    match answer {
        Ok(answer) => Ok(ResponseBody::of(answer, payload, bounds, span)),
        Err(status) => {
            span.finish(status.code());
            Err(status)
        }
    }
}
