//! One served call, from its request's head to its last frame.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response, header, request::Parts};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    Call,
    body::{Reply, ReplyBody, RequestBody, Source},
    connections::Shared,
    ending::{End, Ending, ending_code},
    head::{Terms, check_is_grpc},
    intercepted::dispatch,
    pieces::{BATCH_SIZE, Piece, Pieces},
    respond::{Answer, Respond},
};
use crate::{
    context::Context,
    flow::Gone,
    interceptor::{Observers, Watch},
    limits::CONTENT_TYPE,
    spans::ServerSpan,
    status,
    trace::TraceContext,
};

pub(super) fn serve(
    shared: Arc<Shared>,
    request: Request<Source>,
    respond: Respond,
    cut_off: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let (head, body) = request.into_parts();
    // On the heap: each future that a call is handed through has room for it.
    serve_stream(shared, Box::new(head), body, respond, cut_off)
}

async fn serve_stream(
    shared: Arc<Shared>,
    head: Box<Parts>,
    body: Source,
    mut respond: Respond,
    cut_off: CancellationToken,
) {
    if let Err(refusal) = check_is_grpc(&head) {
        let _ = respond.send_response(refusal, true);
        return;
    }
    let caller = TraceContext::extract(&head.headers);
    let method = head.uri.path().trim_start_matches('/');
    let span = ServerSpan::open(method, caller.as_ref());
    let status = {
        let served = pin!(serve_call(
            &shared,
            head,
            body,
            &mut respond,
            cut_off,
            &span
        ));
        served.instrument(span.span().clone()).await
    };
    span.finish(status.code());
}

async fn serve_call(
    shared: &Shared,
    mut head: Box<Parts>,
    body: Source,
    respond: &mut Respond,
    cut_off: CancellationToken,
    span: &ServerSpan,
) -> Status {
    let negotiated = shared.options.compression.negotiate(&head.headers);
    let Terms {
        deadline,
        compression,
        refusal,
    } = Terms::take(&mut head.headers);
    let observers = (!shared.options.interceptors.is_empty()).then(Arc::<Observers>::default);
    if let Some(deadline) = deadline {
        head.extensions.insert(deadline);
    }
    let cancellation = CancellationToken::new();
    let context = Context::of_call(deadline, span.trace().clone(), cancellation.clone());
    let mut ending = Ending::new(deadline, cut_off);
    let max_receive_message_size = shared.options.max_receive_message_size;
    let watch = Watch::new(observers.clone());
    let call = Call {
        head,
        body: RequestBody::new(body, watch, max_receive_message_size),
        max_receive_message_size,
        compression,
        negotiated,
        refusal,
    };
    let ended = {
        let answered = pin!(answer(
            shared,
            call,
            respond,
            &mut ending,
            observers.as_ref()
        ));
        context.scope(answered).await
    };
    let status = match ended {
        Ended::Answered(status) => status,
        // The handler has been dropped; what it moved to other tasks is told.
        Ended::Early(status) => {
            cancellation.cancel();
            status
        }
    };
    if let Some(observers) = observers {
        observers.ended(&status);
    }
    status
}

/// How a call ended.
enum Ended {
    /// With what its handler answered.
    Answered(Status),
    /// Before that.
    Early(Status),
}

async fn answer(
    shared: &Shared,
    call: Call,
    respond: &mut Respond,
    ending: &mut Ending,
    observers: Option<&Arc<Observers>>,
) -> Ended {
    let prepared = {
        let mut prepared = pin!(prepare(shared, call, observers));
        poll_fn(|cx| match caught(|| prepared.as_mut().poll(cx)) {
            Poll::Ready(prepared) => Poll::Ready(prepared),
            Poll::Pending => ending.poll_end(cx, |cx| respond.poll_reset(cx)).map(Err),
        })
        .await
    };
    let mut watch = Watch::new(observers.cloned());
    match prepared {
        Ok(Prepared::Status(headers, status)) => {
            Ended::Answered(answer_status(respond, headers, status))
        }
        Ok(Prepared::Message(headers, frame)) => {
            watch.data_sent(&frame);
            Ended::Answered(answer_message(respond, headers, frame))
        }
        Ok(Prepared::Pieces(headers, first, pieces)) => {
            let Ok(mut stream) = respond.send_response(response(headers), false) else {
                return Ended::Early(gone(Code::Cancelled));
            };
            send_pieces(&mut stream, first, pieces, ending, &mut watch).await
        }
        Err(End::Reset(code)) => Ended::Early(gone(code)),
        Err(End::Status(status)) => Ended::Early(answer_status(respond, HeaderMap::new(), status)),
    }
}

/// A reply whose first frame is known: headers are delayed until then, so that an error before any message is a
/// Trailers-Only response, which the caller's policy may retry.
enum Prepared {
    Status(HeaderMap, Status),
    Message(HeaderMap, Bytes),
    Pieces(HeaderMap, Option<Bytes>, Pieces),
}

async fn prepare(shared: &Shared, call: Call, observers: Option<&Arc<Observers>>) -> Prepared {
    let Reply { headers, body } = pin!(dispatch(shared, call, observers)).await;
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

/// Polls what a handler wrote: its panic ends this call, and no other.
fn caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, End>> {
    // What a panic leaves half done is dropped with the call.
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(End::Status(Status::internal("the handler panicked")))),
    }
}

async fn send_pieces(
    stream: &mut Answer,
    first: Option<Bytes>,
    mut pieces: Pieces,
    ending: &mut Ending,
    watch: &mut Watch,
) -> Ended {
    let mut next = first;
    loop {
        let piece = match next.take() {
            Some(first) => Ok(Piece::Data(first)),
            None => {
                // Its end is asked for first: a stream that always has a message would never be asked otherwise.
                poll_fn(|cx| match ending.poll_end(cx, |cx| stream.poll_reset(cx)) {
                    Poll::Ready(end) => Poll::Ready(Err(end)),
                    Poll::Pending => caught(|| pieces.poll_next(cx)),
                })
                .await
            }
        };
        let sent = match piece {
            Ok(Piece::Data(data)) => {
                // A full batch says that the handler's stream does not wait: others on this thread get their turn.
                if data.len() >= BATCH_SIZE {
                    tokio::task::yield_now().await;
                }
                watch.data_sent(&data);
                send_data(stream, data, ending).await
            }
            Ok(Piece::End(status, metadata)) => {
                return Ended::Answered(send_trailers(stream, metadata, status));
            }
            Err(end) => Err(end),
        };
        match sent {
            Ok(()) => {}
            Err(End::Reset(code)) => return Ended::Early(gone(code)),
            Err(End::Status(status)) => return Ended::Early(end_early(stream, status)),
        }
    }
}

/// Ends a stream before its handler does.
///
/// Its trailers come after the DATA that waits for the peer's room. A deadline bounds that wait too: past it, the stream is
/// reset. What a server that shuts down has to say may wait, since its connections end soon.
fn end_early(stream: &mut Answer, status: Status) -> Status {
    if status.code() == Code::DeadlineExceeded && !stream.has_room() {
        stream.send_reset(Reason::CANCEL);
        return status;
    }
    send_trailers(stream, HeaderMap::new(), status)
}

/// Sends `data`, unless the call ends while it waits for room.
async fn send_data(stream: &mut Answer, data: Bytes, ending: &mut Ending) -> Result<(), End> {
    let deadline = ending.deadline();
    let mut sending = pin!(stream.send(data));
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(sent) => Poll::Ready(sent.map_err(|Gone| End::Reset(ending_code(deadline)))),
        Poll::Pending => ending.poll_end(cx, |_| Poll::Pending).map(Err),
    })
    .await
}

fn response(mut headers: HeaderMap) -> Response<()> {
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    response
}

// An error of h2 below means that the stream is gone already: there is nobody to tell.

fn answer_status(respond: &mut Respond, mut headers: HeaderMap, status: Status) -> Status {
    status::write(&status, &mut headers);
    let _ = respond.send_response(response(headers), true);
    status
}

fn answer_message(respond: &mut Respond, headers: HeaderMap, frame: Bytes) -> Status {
    let status = Status::ok("");
    match respond.send_response(response(headers), false) {
        Ok(mut stream) => {
            stream.send_data(frame);
            send_trailers(&mut stream, HeaderMap::new(), status)
        }
        Err(_) => status,
    }
}

fn send_trailers(stream: &mut Answer, mut trailers: HeaderMap, status: Status) -> Status {
    status::write(&status, &mut trailers);
    stream.send_trailers(trailers);
    status
}

/// The status of a call whose caller has gone away.
fn gone(code: Code) -> Status {
    Status::new(code, "the caller went away")
}
