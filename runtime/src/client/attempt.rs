//! One try of a call: one HTTP/2 stream.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tracing::Instrument as _;

use super::{
    AttemptNumber, CallHead,
    batches::Batches,
    bounds::Bounds,
    failure::{Failure, Reach, classify, classify_unopened},
    payload::Payload,
    replay::{Read, Reader, ReaderGuard, ReplayBuffer},
};
use crate::{
    channel::{Channel, Connection, PickRequest, Room, Unpicked},
    context::Context,
    credentials::CredentialsRequest,
    deadline::{self, GRPC_TIMEOUT},
    flow, headers,
    method::MethodKind,
    metrics::SendMeter,
    request_head, response_head,
    spans::AttemptSpan,
};

const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// An attempt that the server has answered: with headers, or with nothing but trailers that say OK.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    /// `None` for a Trailers-Only response, whose trailers are `headers`.
    pub(crate) body: Option<RecvStream>,
    /// What still sends or holds room; it ends with the call, after what it reads.
    pub(crate) sent: Sent,
    pub(crate) span: AttemptSpan,
}

/// The sending side of a stream, until the stream has ended.
pub(crate) enum Sent {
    /// A message, which is sent by now.
    Message { _room: Room },
    /// The same, of a call that its caller may leave lying.
    Watched {
        _task: AbortOnDropHandle<()>,
        _room: Arc<Room>,
    },
    /// What a task still sends.
    Stream(Upload),
}

impl Sent {
    /// Has a task reset the stream at the call's bounds, even where nobody polls the responses.
    fn watched(stream: SendStream<Bytes>, room: Room, mut bounds: Bounds) -> Self {
        let room = Arc::new(room);
        let shared = Arc::clone(&room);
        let watch = async move {
            // Dropped in the opposite order: the room is given back last.
            let _room = shared;
            let mut stream = stream;
            let _ = bounds
                .run(std::future::pending::<Result<(), Status>>())
                .await;
            stream.send_reset(Reason::CANCEL);
        };
        Self::Watched {
            _task: AbortOnDropHandle::new(tokio::spawn(watch)),
            _room: room,
        }
    }

    /// Commits the call to this attempt, unless it is committed to another.
    fn commit(&self) -> bool {
        match self {
            Self::Message { .. } | Self::Watched { .. } => true,
            Self::Stream(upload) => upload.reader.commit(),
        }
    }
}

/// Sends one attempt and waits for its response headers, to which it commits the call.
pub(crate) async fn send(
    channel: &Channel,
    head: &CallHead,
    payload: &Payload,
    number: AttemptNumber,
    mut span: AttemptSpan,
) -> Result<Answer, Failure> {
    let answer = {
        let exchange = pin!(exchange(channel, head, payload, number, &span));
        exchange.instrument(span.span().clone()).await
    };
    match answer {
        Ok((headers, body, sent)) => Ok(Answer {
            headers,
            body,
            sent,
            span,
        }),
        Err(failure) => {
            // What the server has not seen, or lets go of as it shuts down, is sent again: it says nothing of the server.
            let is_sent_again = match failure.reach {
                Reach::NeverSent => true,
                Reach::Refused => !number.transparent,
                Reach::Nowhere | Reach::Unknown => false,
            };
            if is_sent_again {
                span.tell_nothing();
            }
            span.finish(failure.status.code());
            Err(failure)
        }
    }
}

type Exchanged = (HeaderMap, Option<RecvStream>, Sent);

async fn exchange(
    channel: &Channel,
    head: &CallHead,
    payload: &Payload,
    number: AttemptNumber,
    span: &AttemptSpan,
) -> Result<Exchanged, Failure> {
    let credentials = match head.credentials.is_empty() {
        true => HeaderMap::new(),
        // On the heap, so that a call without credentials has no room for them.
        false => Box::pin(credentials(channel, head)).await?,
    };
    let to_pick = PickRequest {
        path: head.path.path(),
        metadata: &head.metadata,
        wait_for_ready: head.wait_for_ready,
    };
    let mut connection = channel
        .pick(to_pick)
        .await
        .map_err(|unpicked| match unpicked {
            Unpicked::Failed(status) => Reach::Unknown.failed(status),
            Unpicked::Dropped(status) => Reach::Nowhere.failed(status),
        })?;
    span.tell(connection.take_outcome());
    let request = request(channel, head, credentials, number, span);
    let opened = open(
        connection,
        request,
        payload,
        number.index,
        head,
        span.meter().sending(),
    );
    // Dropped after the response: its room is given back once nothing else holds the stream.
    let (sent, response) = opened?;
    let response = match response.await {
        Ok(response) => response,
        Err(error) => {
            // The caller's own error ends the call: a further attempt could only send what came before it.
            return Err(payload
                .error()
                .map_or_else(|| classify(error), |status| Reach::Nowhere.failed(status)));
        }
    };
    let (headers, body) =
        response_head::read(response).map_err(|status| Reach::Unknown.failed(status))?;
    if !sent.commit() {
        // The call goes on with another attempt, and drops this one as soon as it sees that.
        std::future::pending::<()>().await;
    }
    Ok((headers, body, sent))
}

/// What the call's credentials give for this attempt.
///
/// They are asked before a connection is picked: it may be long until they answer, and a stream's room is for those that
/// have something to send.
async fn credentials(channel: &Channel, head: &CallHead) -> Result<HeaderMap, Failure> {
    if !channel.takes_credentials() {
        let plaintext = "the call has credentials and its channel is in plaintext, where anybody on the way could take them: \
                         nothing was sent; use https:// or `ChannelBuilder::tls`, or say \
                         `ChannelBuilder::allow_insecure_credentials`";
        return Err(Reach::Nowhere.failed(Status::unauthenticated(plaintext)));
    }
    let request = CredentialsRequest::new(channel.authority(), head.path.path());
    let metadata = head.credentials.metadata(&request).await;
    metadata.map_err(|status| Reach::Unknown.failed(status))
}

/// The request's head, as the attempt sends it.
fn request(
    channel: &Channel,
    head: &CallHead,
    credentials: HeaderMap,
    number: AttemptNumber,
    span: &AttemptSpan,
) -> Request<()> {
    let metadata = headers::over(credentials, &head.metadata);
    let mut request = request_head::of(channel.uri(&head.path), metadata, channel.user_agent());
    let headers = request.headers_mut();
    if let Some(deadline) = head.deadline {
        // Above zero: a call whose deadline has passed ends before it sends anything.
        let left = deadline.remaining().max(Duration::from_nanos(1));
        headers.insert(GRPC_TIMEOUT, deadline::encode_timeout(left));
    }
    if number.previous_attempts > 0 {
        headers.insert(
            PREVIOUS_ATTEMPTS,
            HeaderValue::from(number.previous_attempts),
        );
    }
    span.trace().inject(headers);
    request
}

/// Opens the stream and starts to send the payload.
fn open(
    connection: Connection,
    request: Request<()>,
    payload: &Payload,
    attempt: usize,
    head: &CallHead,
    mut meter: SendMeter,
) -> Result<(Sent, ResponseFuture), Failure> {
    let context = Context::current();
    let bounds = || Bounds::new(head.deadline, context.cancellation());
    let (response, mut stream, room) = connection
        .send_request(request)
        .map_err(classify_unopened)?;
    let sent = match payload {
        Payload::Message { frame, .. } => {
            // An error means that the stream is gone already; the response says why.
            let _ = stream.send_data(frame.clone(), true);
            meter.data_sent(frame);
            match head.kind {
                Some(MethodKind::ServerStreaming) => Sent::watched(stream, room, bounds()),
                _ => Sent::Message { _room: room },
            }
        }
        Payload::Frames(buffer) => {
            let stream = Sending {
                stream,
                buffer: Arc::clone(buffer),
                meter,
                room: Arc::new(room),
            };
            Sent::Stream(Upload::spawn(stream, attempt, bounds(), &context))
        }
    };
    Ok((sent, response))
}

/// The task that sends a streaming call's messages; dropping it resets what it has not finished.
pub(crate) struct Upload {
    reader: ReaderGuard,
    _task: AbortOnDropHandle<()>,
    _room: Arc<Room>,
}

impl Upload {
    fn spawn(sending: Sending, attempt: usize, bounds: Bounds, context: &Context) -> Self {
        let (frames, reader) = sending.buffer.reader(attempt);
        let room = Arc::clone(&sending.room);
        // The caller's stream is polled on another task, where it must see what the caller sees.
        let upload = context
            .clone()
            .scope(upload(sending, frames, bounds))
            .in_current_span();
        Self {
            reader,
            _task: AbortOnDropHandle::new(tokio::spawn(upload)),
            _room: room,
        }
    }
}

/// A stream that is being sent to; a panic of the caller's own stream resets it, and is the call's status.
struct Sending {
    stream: SendStream<Bytes>,
    buffer: Arc<ReplayBuffer>,
    meter: SendMeter,
    /// Shared with whoever reads the answer: the stream ends with the last of both.
    room: Arc<Room>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.buffer
                .fail(Status::internal("the caller's stream of requests panicked"));
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}

/// Sends what the caller's stream yields; resets the stream at the call's end even where nobody polls for a response.
async fn upload(mut sending: Sending, frames: Reader, mut bounds: Bounds) {
    let sent = async {
        send_all(&mut sending, frames).await;
        // All is sent, or nobody takes it any more: the call's bounds still hold.
        std::future::pending::<Result<(), Status>>().await
    };
    let _ = bounds.run(sent).await;
    sending.stream.send_reset(Reason::CANCEL);
}

async fn send_all(sending: &mut Sending, frames: Reader) {
    let Sending { stream, meter, .. } = sending;
    let mut frames = Batches::new(frames);
    loop {
        let read = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(Read::Retired),
            Poll::Pending => frames.poll_next(cx),
        });
        match read.await {
            Read::Frame(frame) => {
                // A full batch with more behind it says that the caller's stream does not wait: others on this thread get their turn.
                if frames.has_more() {
                    tokio::task::yield_now().await;
                }
                meter.data_sent(&frame);
                if flow::send(stream, frame).await.is_err() {
                    return;
                }
            }
            Read::Ended => {
                // An error means that the stream is gone already; the response says why.
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
            Read::Failed => return stream.send_reset(Reason::CANCEL),
            Read::Retired => return,
        }
    }
}
