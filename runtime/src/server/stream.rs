//! One served call, from its request's head to its last frame.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    Call,
    body::{Frames, Reply, ReplyBody, RequestBody},
    connection::Shared,
    listener::PeerAddr,
};
use crate::{
    context::Context,
    deadline::{self, Deadline, GRPC_TIMEOUT},
    spans::ServerSpan,
    status,
    trace::TraceContext,
};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Small messages that are ready together leave in one DATA frame of up to this size.
const BATCH_SIZE: usize = 32 << 10;

/// A caller's deadline passes at the caller first: a reset this close to it is that, and not a cancellation.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

pub(super) async fn serve(
    shared: Arc<Shared>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: PeerAddr,
) {
    if let Err(refusal) = check_is_grpc(&request) {
        let _ = respond.send_response(refusal, true);
        return;
    }
    let caller = TraceContext::extract(request.headers());
    let span = ServerSpan::open(
        request.uri().path().trim_start_matches('/'),
        caller.as_ref(),
    );
    let served =
        serve_call(&shared, request, &mut respond, peer, &span).instrument(span.span().clone());
    let code = served.await;
    span.finish(code);
}

/// What is not gRPC gets an HTTP answer ([the protocol's "Requests"]).
///
/// [the protocol's "Requests"]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
fn check_is_grpc(request: &Request<RecvStream>) -> Result<(), Response<()>> {
    let refusal = |status| {
        let mut response = Response::new(());
        *response.status_mut() = status;
        Err(response)
    };
    if request.method() != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    match content_type.strip_prefix(GRPC.as_bytes()) {
        Some([] | [b'+' | b';', ..]) => Ok(()),
        _ => refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

async fn serve_call(
    shared: &Shared,
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    peer: PeerAddr,
    span: &ServerSpan,
) -> Code {
    let (mut head, body) = request.into_parts();
    let deadline = match head
        .headers
        .remove(GRPC_TIMEOUT)
        .map(|value| deadline::decode_timeout(value.as_bytes()))
    {
        None => None,
        Some(Ok(timeout)) => Some(Deadline::after(timeout)),
        Some(Err(malformed)) => {
            return answer_status(
                respond,
                HeaderMap::new(),
                &Status::invalid_argument(malformed),
            );
        }
    };
    head.extensions.insert(peer);
    if let Some(deadline) = deadline {
        head.extensions.insert(deadline);
    }
    let cancellation = CancellationToken::new();
    let context = Context::of_call(deadline, span.trace().clone(), cancellation.clone());
    let mut ending = Ending::new(deadline, shared.phases.cut_off());
    let call = Call {
        head,
        body: RequestBody::new(body),
        max_receive_message_size: shared.options.max_receive_message_size,
    };
    let ended = context
        .scope(answer(shared, call, respond, &mut ending))
        .await;
    match ended {
        Ended::Answered(code) => code,
        // The handler has been dropped; what it moved to other tasks is told.
        Ended::Early(code) => {
            cancellation.cancel();
            code
        }
    }
}

/// How a call ended.
enum Ended {
    /// With what its handler answered.
    Answered(Code),
    /// Before that.
    Early(Code),
}

async fn answer(
    shared: &Shared,
    call: Call,
    respond: &mut SendResponse<Bytes>,
    ending: &mut Ending,
) -> Ended {
    let prepared = {
        let mut prepared = pin!(prepare(shared, call));
        poll_fn(|cx| match prepared.as_mut().poll(cx) {
            Poll::Ready(prepared) => Poll::Ready(Ok(prepared)),
            Poll::Pending => ending.poll_end(cx, |cx| respond.poll_reset(cx)).map(Err),
        })
        .await
    };
    match prepared {
        Ok(Prepared::Status(headers, status)) => {
            Ended::Answered(answer_status(respond, headers, &status))
        }
        Ok(Prepared::Message(headers, frame)) => {
            Ended::Answered(answer_message(respond, headers, frame))
        }
        Ok(Prepared::Pieces(headers, first, pieces)) => {
            let Ok(mut stream) = respond.send_response(response(headers), false) else {
                return Ended::Early(Code::Cancelled);
            };
            send_pieces(&mut stream, first, pieces, ending).await
        }
        Err(End::Reset(code)) => Ended::Early(code),
        Err(End::Status(status)) => Ended::Early(answer_status(respond, HeaderMap::new(), &status)),
    }
}

/// A reply whose first frame is known: headers are delayed until then, so that an error before any message is a
/// Trailers-Only response, which the caller's policy may retry.
enum Prepared {
    Status(HeaderMap, Status),
    Message(HeaderMap, Bytes),
    Pieces(HeaderMap, Option<Bytes>, Pieces),
}

async fn prepare(shared: &Shared, call: Call) -> Prepared {
    let Reply { headers, body } = shared.router.call(call).await;
    match body {
        ReplyBody::TrailersOnly(status) => Prepared::Status(headers, status),
        ReplyBody::Message(frame) => Prepared::Message(headers, frame),
        ReplyBody::Messages(frames) => {
            let mut pieces = Pieces::of_messages(frames);
            match poll_fn(|cx| pieces.poll_next(cx)).await {
                Piece::Data(first) => Prepared::Pieces(headers, Some(first), pieces),
                Piece::End(status, _) => Prepared::Status(headers, status),
            }
        }
        #[cfg(feature = "tonic")]
        ReplyBody::Http(body) => Prepared::Pieces(headers, None, Pieces::Http(body)),
    }
}

async fn send_pieces(
    stream: &mut SendStream<Bytes>,
    first: Option<Bytes>,
    mut pieces: Pieces,
    ending: &mut Ending,
) -> Ended {
    let mut next = first;
    loop {
        let piece = match next.take() {
            Some(first) => Ok(Piece::Data(first)),
            None => {
                poll_fn(|cx| match pieces.poll_next(cx) {
                    Poll::Ready(piece) => Poll::Ready(Ok(piece)),
                    Poll::Pending => ending.poll_end(cx, |cx| stream.poll_reset(cx)).map(Err),
                })
                .await
            }
        };
        let sent = match piece {
            Ok(Piece::Data(data)) => send_data(stream, data, ending).await,
            Ok(Piece::End(status, metadata)) => {
                return Ended::Answered(send_trailers(stream, metadata, &status));
            }
            Err(end) => Err(end),
        };
        match sent {
            Ok(()) => {}
            Err(End::Reset(code)) => return Ended::Early(code),
            Err(End::Status(status)) => {
                return Ended::Early(send_trailers(stream, HeaderMap::new(), &status));
            }
        }
    }
}

/// Sends `data` once the peer has room for some of it, so that at most one piece waits in the connection.
async fn send_data(
    stream: &mut SendStream<Bytes>,
    data: Bytes,
    ending: &mut Ending,
) -> Result<(), End> {
    let deadline = ending.deadline();
    let gone = || End::Reset(ending_code(deadline));
    stream.reserve_capacity(data.len());
    while stream.capacity() == 0 {
        match poll_fn(|cx| match stream.poll_capacity(cx) {
            Poll::Ready(capacity) => Poll::Ready(Ok(capacity)),
            Poll::Pending => ending.poll_end(cx, |_| Poll::Pending).map(Err),
        })
        .await
        {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return Err(gone()),
            Err(end) => return Err(end),
        }
    }
    stream.send_data(data, false).map_err(|_| gone())
}

/// The pieces of a streamed reply.
enum Pieces {
    Messages {
        frames: Frames,
        end: Option<Status>,
    },
    #[cfg(feature = "tonic")]
    Http(tonic::body::Body),
}

pub(super) enum Piece {
    Data(Bytes),
    /// The end, with the metadata of the trailers.
    End(Status, HeaderMap),
}

impl Pieces {
    fn of_messages(frames: Frames) -> Self {
        Self::Messages { frames, end: None }
    }

    fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Piece> {
        match self {
            Self::Messages { frames, end } => match end.take() {
                Some(status) => Poll::Ready(Piece::End(status, HeaderMap::new())),
                None => match ready!(frames.as_mut().poll_next(cx)) {
                    Some(Ok(frame)) => Poll::Ready(Piece::Data(batch(frame, frames, end, cx))),
                    last => Poll::Ready(Piece::End(end_of(last), HeaderMap::new())),
                },
            },
            #[cfg(feature = "tonic")]
            Self::Http(body) => super::tower::poll_piece(body, cx),
        }
    }
}

/// `first` and the small frames that are ready behind it, as one piece; `end` is set where the stream ended.
fn batch(
    first: Bytes,
    frames: &mut Frames,
    end: &mut Option<Status>,
    cx: &mut TaskContext<'_>,
) -> Bytes {
    let mut batch = None;
    let mut size = first.len();
    while size < BATCH_SIZE {
        match frames.as_mut().poll_next(cx) {
            Poll::Pending => break,
            Poll::Ready(Some(Ok(frame))) => {
                size += frame.len();
                batch
                    .get_or_insert_with(|| BytesMut::from(first.as_ref()))
                    .extend_from_slice(&frame);
            }
            Poll::Ready(last) => {
                *end = Some(end_of(last));
                break;
            }
        }
    }
    batch.map_or(first, BytesMut::freeze)
}

/// The status that a stream of messages ended with.
fn end_of(last: Option<Result<Bytes, Status>>) -> Status {
    match last {
        Some(Err(status)) => status,
        Some(Ok(_)) | None => Status::ok(""),
    }
}

fn response(mut headers: HeaderMap) -> Response<()> {
    headers.insert(header::CONTENT_TYPE, GRPC);
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    response
}

// An error of h2 below means that the stream is gone already: there is nobody to tell.

fn answer_status(
    respond: &mut SendResponse<Bytes>,
    mut headers: HeaderMap,
    status: &Status,
) -> Code {
    status::write(status, &mut headers);
    let _ = respond.send_response(response(headers), true);
    status.code()
}

fn answer_message(respond: &mut SendResponse<Bytes>, headers: HeaderMap, frame: Bytes) -> Code {
    if let Ok(mut stream) = respond.send_response(response(headers), false) {
        let _ = stream.send_data(frame, false);
        send_trailers(&mut stream, HeaderMap::new(), &Status::ok(""));
    }
    Code::Ok
}

fn send_trailers(stream: &mut SendStream<Bytes>, mut trailers: HeaderMap, status: &Status) -> Code {
    status::write(status, &mut trailers);
    let _ = stream.send_trailers(trailers);
    status.code()
}

/// What ends a call before its handler does: its deadline, its caller, the server's shutdown.
struct Ending {
    deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    cut_off: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum End {
    /// The caller reset the stream: there is nobody to answer.
    Reset(Code),
    /// The caller is told why.
    Status(Status),
}

impl Ending {
    fn new(deadline: Option<Deadline>, cut_off: &CancellationToken) -> Self {
        Self {
            deadline: deadline.map(|deadline| {
                (
                    deadline,
                    Box::pin(tokio::time::sleep_until(deadline.instant())),
                )
            }),
            cut_off: Box::pin(cut_off.clone().cancelled_owned()),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline.as_ref().map(|(deadline, _)| *deadline)
    }

    fn poll_end(
        &mut self,
        cx: &mut TaskContext<'_>,
        mut poll_reset: impl FnMut(&mut TaskContext<'_>) -> Poll<Result<Reason, h2::Error>>,
    ) -> Poll<End> {
        if let Some((_, sleep)) = &mut self.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(End::Status(status::deadline_exceeded()));
        }
        if self.cut_off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Status(Status::unavailable(
                "the server is shutting down",
            )));
        }
        poll_reset(cx).map(|_| End::Reset(ending_code(self.deadline())))
    }
}

/// What a reset by the caller means.
fn ending_code(deadline: Option<Deadline>) -> Code {
    match deadline {
        Some(deadline) if deadline.remaining() <= CLOCK_SLACK => Code::DeadlineExceeded,
        _ => Code::Cancelled,
    }
}
