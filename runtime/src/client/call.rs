//! Calls as values: what is set on one before it is awaited, and what awaiting gives.

use std::{
    fmt,
    future::{IntoFuture, Ready, ready},
    marker::PhantomData,
    time::Duration,
};

use prost::Message;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request, Response, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
};
use tracing::Instrument as _;

use super::{
    futures::{ResponseFuture, StreamingFuture},
    outgoing::{Bound, Outgoing, Requests},
};
use crate::{
    channel::Channel,
    context::Context,
    deadline::Deadline,
    frame,
    method::{Method, MethodDescriptor},
    policy::{AttemptPolicy, HedgingPolicy, RetryPolicy},
    reserved,
    streaming::{MessageReader, Streaming},
};

/// A call of a method with one request and one response. Awaiting it sends it.
pub type UnaryCall<Req, Res> = Call<Req, Res, OneResponse>;
/// A call of a method with one request and many responses. Awaiting it sends it.
pub type ServerStreamingCall<Req, Res> = Call<Req, Res, ManyResponses>;
/// A call of a method with many requests and one response. Awaiting it sends them.
pub type ClientStreamingCall<Req, Res> = Call<Req, Res, OneResponse>;
/// A call of a method with many requests and many responses. Awaiting it starts to send them.
pub type BidiStreamingCall<Req, Res> = Call<Req, Res, Exchange>;

/// A call that has not been sent. Nothing happens until it is awaited; what is set on it holds for this call alone.
///
/// Awaited, a call gives
///
/// | kind | what | when |
/// |---|---|---|
/// | unary, client streaming | `Result<Response<Res>, Status>` | the call has ended |
/// | server streaming | `Result<Response<Streaming<Res>>, Status>` | the first response is there |
/// | bidirectional | `Result<Response<Streaming<Res>>, Status>` | at once |
///
/// A bidirectional call does not wait for the server, which may have nothing to say before it has heard from the caller:
/// what goes wrong is the stream's first item, and the response's metadata is [`Streaming::metadata`].
///
/// ```no_run
/// # use wireloom::{Channel, Method, Status};
/// # static SAY_HELLO: Method<String, String> = Method::unary("/helloworld.Greeter/SayHello");
/// # async fn example(channel: Channel) -> Result<(), Status> {
/// use std::time::Duration;
///
/// let call = channel.unary(&SAY_HELLO, "Ada".to_owned());
/// let reply = call.timeout(Duration::from_millis(500)).metadata("tenant", "blue").await?;
/// println!("{}", reply.into_inner());
/// # Ok(())
/// # }
/// ```
#[must_use = "a call is sent when it is awaited"]
pub struct Call<Req, Res, Shape> {
    channel: Channel,
    method: &'static MethodDescriptor,
    outgoing: Result<Outgoing, Status>,
    messages: PhantomData<fn(Req) -> (Res, Shape)>,
}

/// A call has one response.
#[derive(Debug)]
pub enum OneResponse {}

/// A call has a stream of responses.
#[derive(Debug)]
pub enum ManyResponses {}

/// A call has a stream of responses, which does not wait for the first.
#[derive(Debug)]
pub enum Exchange {}

impl<Req: Message, Res, Shape> Call<Req, Res, Shape> {
    pub(crate) fn with_message(
        channel: Channel,
        method: &'static Method<Req, Res>,
        request: Request<Req>,
    ) -> Self {
        let (metadata, _, message) = request.into_parts();
        let frame = frame::encode(&message);
        Self::new(
            channel,
            method.descriptor(),
            frame.map(|frame| (Requests::One(frame), metadata)),
        )
    }

    pub(crate) fn with_messages<S>(
        channel: Channel,
        method: &'static Method<Req, Res>,
        requests: Request<S>,
    ) -> Self
    where
        S: Stream<Item = Req> + Send + 'static,
        Req: 'static,
    {
        let (metadata, _, messages) = requests.into_parts();
        let frames = Box::pin(messages.map(|message| frame::encode(&message)));
        Self::new(
            channel,
            method.descriptor(),
            Ok((Requests::Many(frames), metadata)),
        )
    }
}

impl<Req, Res, Shape> Call<Req, Res, Shape> {
    fn new(
        channel: Channel,
        method: &'static MethodDescriptor,
        requests: Result<(Requests, MetadataMap), Status>,
    ) -> Self {
        let outgoing = requests.map(|(requests, metadata)| Outgoing {
            requests,
            metadata: reserved::strip(metadata.into_headers()),
            bound: Bound::OfMethod,
            attempts: None,
        });
        Self {
            channel,
            method,
            outgoing,
            messages: PhantomData,
        }
    }

    fn map(mut self, set: impl FnOnce(&mut Outgoing) -> Result<(), Status>) -> Self {
        self.outgoing = self
            .outgoing
            .and_then(|mut outgoing| set(&mut outgoing).map(|()| outgoing));
        self
    }

    /// Bounds the whole call, from now: all attempts, all messages, the status. In place of the method's own timeout;
    /// an earlier deadline of the call being served still holds.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.deadline(Deadline::after(timeout))
    }

    /// Bounds the whole call by an instant; see [`timeout`](Self::timeout).
    pub fn deadline(self, deadline: Deadline) -> Self {
        self.map(|outgoing| {
            outgoing.bound = Bound::By(deadline);
            Ok(())
        })
    }

    /// Lifts the method's own timeout: the call may take for ever, unless the call being served has a deadline.
    pub fn no_timeout(self) -> Self {
        self.map(|outgoing| {
            outgoing.bound = Bound::None;
            Ok(())
        })
    }

    /// Adds ASCII metadata, after what the request itself carries. A key or value that HTTP/2 cannot carry, or a key
    /// that gRPC reserves, fails the call with INVALID_ARGUMENT.
    pub fn metadata(self, key: &str, value: impl AsRef<str>) -> Self {
        self.map(|outgoing| {
            let invalid = |what: &str, reason: &dyn fmt::Display| {
                Status::invalid_argument(format!(
                    "invalid metadata {what} for key {key:?}: {reason}"
                ))
            };
            let name: AsciiMetadataKey = key.parse().map_err(|error| invalid("key", &error))?;
            if reserved::contains(name.as_str()) {
                return Err(invalid("key", &"it is the protocol's own"));
            }
            let value: AsciiMetadataValue = value
                .as_ref()
                .parse()
                .map_err(|error| invalid("value", &error))?;
            let mut metadata = MetadataMap::from_headers(std::mem::take(&mut outgoing.metadata));
            metadata.append(name, value);
            outgoing.metadata = metadata.into_headers();
            Ok(())
        })
    }

    /// Retries this call by `policy`, in place of the method's own. An invalid one fails the call with
    /// INVALID_ARGUMENT.
    pub fn retry_policy(self, policy: RetryPolicy) -> Self {
        self.map(|outgoing| {
            let invalid =
                |reason| Status::invalid_argument(format!("invalid retry policy: {reason}"));
            policy.validate().map_err(invalid)?;
            outgoing.attempts = Some(AttemptPolicy::Retry(policy));
            Ok(())
        })
    }

    /// Hedges this call by `policy`, in place of the method's own: further attempts go out before the first has answered,
    /// so the method must bear being done twice. An invalid policy fails the call with INVALID_ARGUMENT.
    pub fn hedging_policy(self, policy: HedgingPolicy) -> Self {
        self.map(|outgoing| {
            let invalid =
                |reason| Status::invalid_argument(format!("invalid hedging policy: {reason}"));
            policy.validate().map_err(invalid)?;
            outgoing.attempts = Some(AttemptPolicy::Hedging(policy));
            Ok(())
        })
    }

    /// Makes this call without configured retries or hedges; transparent retries stay.
    pub fn no_retry(self) -> Self {
        self.map(|outgoing| {
            outgoing.attempts = Some(AttemptPolicy::Single);
            Ok(())
        })
    }
}

impl<Req, Res, Shape> fmt::Debug for Call<Req, Res, Shape> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("channel", &self.channel)
            .field("method", self.method)
            .finish_non_exhaustive()
    }
}

impl<Req, Res: Message + Default> IntoFuture for Call<Req, Res, OneResponse> {
    type Output = Result<Response<Res>, Status>;
    type IntoFuture = ResponseFuture<Res>;

    fn into_future(self) -> Self::IntoFuture {
        let (channel, method) = (self.channel, self.method);
        let sending = Box::pin(async move { self.outgoing?.send_for_one(channel, method).await });
        ResponseFuture {
            sending,
            message: PhantomData,
        }
    }
}

impl<Req, Res> IntoFuture for Call<Req, Res, ManyResponses> {
    type Output = Result<Response<Streaming<Res>>, Status>;
    type IntoFuture = StreamingFuture<Res>;

    fn into_future(self) -> Self::IntoFuture {
        let (channel, method) = (self.channel, self.method);
        let sending = Box::pin(async move { self.outgoing?.send(channel, method).await });
        StreamingFuture {
            sending,
            message: PhantomData,
        }
    }
}

impl<Req, Res> IntoFuture for Call<Req, Res, Exchange> {
    type Output = Result<Response<Streaming<Res>>, Status>;
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (channel, method) = (self.channel, self.method);
        ready(self.outgoing.map(|outgoing| {
            // On a task of its own: the caller may send for as long as it likes before it looks for a response.
            let sending = outgoing.send(channel, method);
            let sending = tokio::spawn(Context::current().scope(sending).in_current_span());
            let messages = MessageReader::opening(AbortOnDropHandle::new(sending));
            Response::new(Streaming::new(messages))
        }))
    }
}
