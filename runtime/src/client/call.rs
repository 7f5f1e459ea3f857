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
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tracing::Instrument as _;

use super::{
    futures::{ResponseFuture, StreamingFuture},
    options::CallOptions,
    outgoing::Outgoing,
    passage::Requests,
};
use crate::{
    channel::Channel,
    compression::Compression,
    context::Context,
    credentials::CallCredentials,
    deadline::Deadline,
    frame::{self, FrameEncoder},
    method::{Method, MethodDescriptor},
    policy::{HedgingPolicy, RetryPolicy},
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
    outgoing: Outgoing,
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
        let requests = Requests::One(frame::encode(&message));
        Self::new(channel, method.descriptor(), requests, metadata)
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
        let mut encoder = FrameEncoder::default();
        let frames = Box::pin(messages.map(move |message| encoder.encode(&message)));
        let requests = Requests::Many(frames);
        Self::new(channel, method.descriptor(), requests, metadata)
    }
}

impl<Req, Res, Shape> Call<Req, Res, Shape> {
    fn new(
        channel: Channel,
        method: &'static MethodDescriptor,
        requests: Requests,
        metadata: MetadataMap,
    ) -> Self {
        let outgoing = Outgoing {
            requests,
            options: CallOptions::of_metadata(reserved::strip(metadata.into_headers())),
        };
        Self {
            channel,
            method,
            outgoing,
            messages: PhantomData,
        }
    }

    fn set(mut self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        self.outgoing.options = set(self.outgoing.options);
        self
    }

    /// Bounds the whole call, from now: all attempts, all messages, the status. In place of the method's own timeout;
    /// an earlier deadline of the call being served still holds.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.deadline(Deadline::after(timeout))
    }

    /// Bounds the whole call by an instant; see [`timeout`](Self::timeout).
    pub fn deadline(self, deadline: Deadline) -> Self {
        self.set(|options| options.deadline(deadline))
    }

    /// Lifts the method's own timeout: the call may take for ever, unless the call being served has a deadline.
    pub fn no_timeout(self) -> Self {
        self.set(CallOptions::no_timeout)
    }

    /// Adds ASCII metadata, after what the request itself carries. A key or value that HTTP/2 cannot carry, or a key
    /// that gRPC reserves, fails the call with INVALID_ARGUMENT.
    pub fn metadata(self, key: &str, value: impl AsRef<str>) -> Self {
        self.set(|options| options.metadata(key, value))
    }

    /// Adds binary metadata; the key ends in `-bin`. See [`metadata`](Self::metadata).
    pub fn binary_metadata(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.set(|options| options.binary_metadata(key, value))
    }

    /// Has `credentials` give metadata to each attempt of this call, after the channel's own. See [`CallCredentials`].
    pub fn credentials(self, credentials: impl CallCredentials) -> Self {
        self.set(|options| options.credentials(credentials))
    }

    /// Retries this call by `policy`, in place of the method's own. An invalid one fails the call with
    /// INVALID_ARGUMENT.
    pub fn retry_policy(self, policy: RetryPolicy) -> Self {
        self.set(|options| options.retry_policy(policy))
    }

    /// Hedges this call by `policy`, in place of the method's own: further attempts go out before the first has answered,
    /// so the method must bear being done twice. An invalid policy fails the call with INVALID_ARGUMENT.
    pub fn hedging_policy(self, policy: HedgingPolicy) -> Self {
        self.set(|options| options.hedging_policy(policy))
    }

    /// Makes this call without configured retries or hedges; transparent retries stay.
    pub fn no_retry(self) -> Self {
        self.set(CallOptions::no_retry)
    }

    /// Whether the call waits for a connection while none can be made, until its deadline, rather than fail with
    /// UNAVAILABLE. See [`CallOptions::wait_for_ready`].
    pub fn wait_for_ready(self, wait: bool) -> Self {
        self.set(|options| options.wait_for_ready(wait))
    }

    /// Compresses what the call sends. See [`CallOptions::compression`].
    pub fn compression(self, compression: Compression) -> Self {
        self.set(|options| options.compression(compression))
    }

    /// The largest message that the call may send, in bytes. See [`CallOptions::max_send_message_size`].
    pub fn max_send_message_size(self, bytes: usize) -> Self {
        self.set(|options| options.max_send_message_size(bytes))
    }

    /// The largest message that the call accepts, in bytes. See [`CallOptions::max_receive_message_size`].
    pub fn max_receive_message_size(self, bytes: usize) -> Self {
        self.set(|options| options.max_receive_message_size(bytes))
    }

    /// Sends `key` as `idempotency-key`, the same on all attempts, so that a server may know a call that it has seen
    /// before; the call is retried as an idempotent one. See [`CallOptions::idempotency_key`].
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.set(|options| options.idempotency_key(key))
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
        let sending = Box::pin(self.outgoing.send_for_one(channel, method));
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
        let sending = Box::pin(self.outgoing.send(channel, method));
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
        // On a task of its own: the caller may send for as long as it likes before it looks for a response.
        let sending = self.outgoing.send(channel, method);
        let sending = tokio::spawn(Context::current().scope(sending).in_current_span());
        let messages = MessageReader::opening(AbortOnDropHandle::new(sending));
        ready(Ok(Response::new(Streaming::new(messages))))
    }
}
