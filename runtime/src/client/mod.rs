//! The client's stack, outermost first: call span -> deadline and cancellation -> retries -> attempt -> connection.
//!
//! It works on encoded frames, so the four kinds of method and clients made by tonic share it, and it is compiled
//! once, not once per message type.

mod attempt;
mod bounds;
mod call;
#[cfg(test)]
mod config_tests;
mod futures;
mod hedge;
mod outgoing;
mod pushback;
mod replay;
mod response;
mod retry;
#[cfg(test)]
pub(crate) mod scripted_peer;
mod service;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;

use http::{HeaderMap, Response, uri::PathAndQuery};
use tonic::Status;
use tracing::Instrument as _;

pub use self::call::{
    BidiStreamingCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall,
};
pub use self::response::ResponseBody;
pub(crate) use self::throttle::TokenBucket;
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
    /// The bucket of the service config that the call started with.
    pub(crate) throttle: Option<Arc<TokenBucket>>,
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

/// What bounds the attempts of every call of a channel, whatever the policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLimits {
    pub(crate) max_attempts: u32,
    pub(crate) max_replay_buffer_size: usize,
}

/// The limits and the token bucket that a call's attempts keep to. A call keeps those that it started with.
#[derive(Clone, Debug)]
struct AttemptRules {
    limits: RetryLimits,
    throttle: Option<Arc<TokenBucket>>,
}

impl AttemptRules {
    fn record_failure(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.record_failure();
        }
    }

    fn record_success(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.record_success();
        }
    }

    fn allow_more(&self) -> bool {
        self.throttle
            .as_ref()
            .is_none_or(|throttle| throttle.allows_more())
    }
}

/// An attempt that ended before it had response headers.
pub(crate) enum Failure {
    /// It never left the client: the connection went away before the stream opened.
    NeverSent(Status),
    /// The server did not process it, and said so: by REFUSED_STREAM or by a GOAWAY.
    Refused(Status),
    /// It is for the policy: there is no connection to be had, or the server may have acted on it.
    Failed(Status),
}

impl Failure {
    fn status(&self) -> &Status {
        match self {
            Self::NeverSent(status) | Self::Refused(status) | Self::Failed(status) => status,
        }
    }

    fn into_status(self) -> Status {
        match self {
            Self::NeverSent(status) | Self::Refused(status) | Self::Failed(status) => status,
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

    let rules = AttemptRules {
        limits: channel.retry_limits(),
        throttle: head.throttle.clone(),
    };
    let span = CallSpan::open(head.full_name(), channel.target(), context.trace());
    let mut bounds = Bounds::new(head.deadline, context.cancellation());
    let answer = if head.deadline.is_some_and(Deadline::is_expired) {
        Err(status::deadline_exceeded())
    } else {
        let attempt =
            |number| attempt::send(channel, &head, &payload, number, span.attempt(number));
        // One deadline spans all attempts and the waits between them.
        let attempts = async {
            match head.attempts {
                AttemptPolicy::Single => retry::run(None, &rules, &payload, attempt).await,
                AttemptPolicy::Retry(policy) => {
                    retry::run(Some(policy), &rules, &payload, attempt).await
                }
                AttemptPolicy::Hedging(policy) => {
                    hedge::run(policy, &rules, &payload, attempt).await
                }
            }
        };
        bounds.run(attempts.instrument(span.span().clone())).await
    };
    match answer {
        Ok(answer) => {
            answer.commit();
            Ok(ResponseBody::of(answer, payload, bounds, rules, span))
        }
        Err(status) => {
            span.finish(status.code());
            Err(status)
        }
    }
}
