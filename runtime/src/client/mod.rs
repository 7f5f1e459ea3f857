//! The client's stack, outermost first: call span -> deadline and cancellation -> retries -> attempt -> connection.
//!
//! Futures are pinned where they are made: one that is awaited by value is copied into the future that awaits it, and
//! those of a whole call have kilobytes.
//!
//! It works on encoded frames, so the four kinds of method and clients made by tonic share it, and it is compiled
//! once, not once per message type.

mod attempt;
mod batches;
mod bounds;
mod budget;
mod call;
#[cfg(test)]
mod config_tests;
mod failure;
mod futures;
mod hedge;
mod idempotency;
#[cfg(test)]
mod interceptor_tests;
mod kept;
mod options;
#[cfg(test)]
mod options_tests;
mod outgoing;
mod passage;
mod payload;
mod plan;
#[cfg(test)]
mod property_tests;
mod pushback;
#[cfg(test)]
mod readiness_tests;
mod replay;
mod response;
mod retry;
#[cfg(test)]
pub(crate) mod scripted_peer;
mod service;
#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod tests;
mod throttle;

use std::{pin::pin, sync::Arc};

use http::{Extensions, HeaderMap, Response, uri::PathAndQuery};
use tonic::{Status, metadata::MetadataMap};
use tracing::Instrument as _;

pub(crate) use self::budget::ReplayBudget;
pub use self::call::{
    BidiStreamingCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall,
};
pub use self::options::CallOptions;
#[cfg(fuzzing)]
pub(crate) use self::pushback::Pushback;
pub use self::response::ResponseBody;
pub(crate) use self::throttle::TokenBucket;
use self::{
    attempt::Answer,
    bounds::Bounds,
    passage::{Passage, Requests},
    plan::Plan,
    replay::ReplayBuffer,
};
use crate::{
    attempt_number::AttemptNumber,
    channel::Channel,
    context::Context,
    credentials::Credentials,
    deadline::{Deadline, GRPC_TIMEOUT},
    interceptor::{InterceptedCall, Observers},
    method::MethodKind,
    metrics::{FurtherAttempts, Metered, Naming},
    policy::AttemptPolicy,
    reserved,
    spans::CallSpan,
    status,
};

/// What all attempts of a call have in common, beside what they send.
pub(crate) struct CallHead {
    pub(crate) path: PathAndQuery,
    /// `None` where the path alone is known.
    pub(crate) kind: Option<MethodKind>,
    pub(crate) metadata: HeaderMap,
    pub(crate) credentials: Credentials,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) attempts: AttemptPolicy,
    pub(crate) wait_for_ready: bool,
    /// The bucket of the service config that the call started with.
    pub(crate) throttle: Option<Arc<TokenBucket>>,
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

/// Opens the span of a call, which covers what it waits for before it is planned.
fn open_span(channel: &Channel, path: &PathAndQuery, naming: Naming) -> CallSpan {
    let metered = Metered {
        method: path.path().trim_start_matches('/'),
        naming,
    };
    let context = Context::current();
    CallSpan::open(metered, channel.meters(), channel.target(), context.trace())
}

/// Makes a call: its response is there as soon as it has headers.
pub(crate) async fn start(
    channel: &Channel,
    mut span: CallSpan,
    mut plan: Plan,
    requests: Requests,
) -> Result<Response<ResponseBody>, Status> {
    let context = Context::current();
    let deadline = Deadline::earliest(plan.head.deadline, context.deadline());
    plan.head.deadline = deadline;
    span.set_deadline(deadline);

    let rules = AttemptRules {
        limits: channel.retry_limits(),
        throttle: plan.head.throttle.clone(),
    };
    // Typed calls are held to their limit where messages are read; tonic's client knows its own alone.
    let max_message_size = match requests {
        Requests::Data(_) => plan.max_receive_message_size,
        Requests::One(_) | Requests::Many(_) => None,
    };
    let mut bounds = Bounds::new(deadline, context.cancellation());
    let observers = (!channel.interceptors().is_empty()).then(Arc::<Observers>::default);
    let answered = if deadline.is_some_and(Deadline::is_expired) {
        Err(status::deadline_exceeded())
    } else {
        let call = Starting {
            channel,
            plan,
            requests,
            rules: &rules,
            span: &span,
        };
        // One deadline spans interceptors, all attempts, and the waits between them.
        let answered = pin!(call.intercepted(observers.as_ref()));
        bounds.run(answered.instrument(span.span().clone())).await
    };
    match answered {
        Ok(answered) => Ok(ResponseBody::of(
            answered,
            response::Ongoing {
                bounds,
                rules,
                observers,
                max_message_size,
                call_span: span,
            },
        )),
        Err(status) => {
            if let Some(observers) = observers {
                observers.ended(&status);
            }
            span.finish(status.code());
            Err(status)
        }
    }
}

/// A call on its way to its first response headers.
struct Starting<'a> {
    channel: &'a Channel,
    plan: Plan,
    requests: Requests,
    rules: &'a AttemptRules,
    span: &'a CallSpan,
}

/// A call that is committed to the attempt that answered.
pub(crate) struct Answered {
    answer: Answer,
    /// What the call still sends, where that is a stream.
    sent: Option<Arc<ReplayBuffer>>,
}

impl Starting<'_> {
    /// Makes the call through the channel's interceptors; without any there is nothing that observes it.
    async fn intercepted(mut self, observers: Option<&Arc<Observers>>) -> Result<Answered, Status> {
        let Some(observers) = observers else {
            return pin!(self.attempts(None)).await;
        };
        let interceptors = self.channel.interceptors();
        let mut metadata = std::mem::take(&mut self.plan.head.metadata);
        // How tonic's client compresses its messages; what is reserved is in no other call's metadata.
        let protocol = reserved::split_off(&mut metadata);
        let call = InterceptedCall::new(
            self.plan.head.path.path(),
            MetadataMap::from_headers(metadata),
            Extensions::new(),
            self.plan.head.deadline,
            Arc::clone(observers),
        );
        let last = |call: InterceptedCall| async move {
            let (metadata, _) = call.into_parts();
            let mut metadata = reserved::strip(metadata.into_headers());
            metadata.remove(GRPC_TIMEOUT);
            metadata.extend(protocol);
            self.plan.head.metadata = metadata;
            let mut answered = self.attempts(Some(observers)).await?;
            let headers = std::mem::take(&mut answered.answer.headers);
            Ok((headers, answered))
        };
        let (headers, mut answered) = interceptors.run(call, last).await?;
        answered.answer.headers = headers;
        Ok(answered)
    }

    /// Makes attempts until one has response headers.
    async fn attempts(self, observers: Option<&Arc<Observers>>) -> Result<Answered, Status> {
        let Self {
            channel,
            plan,
            requests,
            rules,
            span,
        } = self;
        if let Some(status) = plan.refused {
            return Err(status);
        }
        let mut head = plan.head;
        if !matches!(requests, Requests::Data(_)) {
            plan.compression.write_headers(&mut head.metadata);
        }
        let retried = head.attempts != AttemptPolicy::Single;
        let passage = Passage {
            compression: plan.compression,
            max_message_size: plan.max_send_message_size,
            observers: observers.cloned(),
        };
        // A stream is kept without a policy, too, until the server has answered: what the server refuses is sent again.
        let limit = rules.limits.max_replay_buffer_size;
        let payload = passage.pass(requests, limit, channel.replay_budget(), retried)?;
        let further = match head.attempts {
            AttemptPolicy::Hedging(_) => FurtherAttempts::Hedges,
            AttemptPolicy::Single | AttemptPolicy::Retry(_) => FurtherAttempts::Retries,
        };
        let attempt = |number| {
            attempt::send(
                channel,
                &head,
                &payload,
                number,
                span.attempt(number, further),
            )
        };
        let answer = match head.attempts {
            AttemptPolicy::Single => pin!(retry::run(None, rules, &payload, attempt)).await,
            AttemptPolicy::Retry(policy) => {
                pin!(retry::run(Some(policy), rules, &payload, attempt)).await
            }
            AttemptPolicy::Hedging(policy) => {
                pin!(hedge::run(policy, rules, &payload, attempt)).await
            }
        }?;
        Ok(Answered {
            answer,
            sent: payload.into_committed(),
        })
    }
}
