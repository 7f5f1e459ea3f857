//! One served call, from its request's head to its last frame.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    Call,
    admission::{Entry, Place, Reason as RefusalReason, Refusal},
    body::{Reply, ReplyBody, Source},
    connections::Shared,
    ended::{Ended, Unheard},
    ending::{End, Ending, ending_code, is_cut_off},
    guard::Guard,
    head::check_is_grpc,
    intercepted::dispatch,
    pieces::{BATCH_SIZE, Piece, Pieces},
    protection::{Protection, Room, Unsent},
    respond::{Answer, Respond},
    sending::{all_has_room, send_data, send_last},
};
use crate::{
    context::Context,
    deadline::Deadline,
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
    protection: Option<Arc<Protection>>,
) -> impl Future<Output = ()> + Send + 'static {
    // What is no call takes nothing of what calls are limited by.
    let received = check_is_grpc(&request).map(|()| {
        let call = Call::new(request, &shared.options, protection.as_deref());
        // Now, and not when the call is polled first: what waits for that is under way, and takes its time.
        let entry = shared.admission.receive(call.path());
        Received {
            call,
            entry,
            cut_off,
        }
    });
    serve_stream(shared, respond, received, protection)
}

/// A call whose head has come in.
struct Received {
    call: Call,
    entry: Result<Entry, Refusal>,
    cut_off: CancellationToken,
}

async fn serve_stream(
    shared: Arc<Shared>,
    mut respond: Respond,
    received: Result<Received, StatusCode>,
    protection: Option<Arc<Protection>>,
) {
    let received = match received {
        Ok(received) => received,
        Err(status) => {
            let mut response = Response::new(());
            *response.status_mut() = status;
            let _ = respond.send_response(response, true);
            return;
        }
    };
    let deadline = received.call.parts.deadline;
    let span = open_span(&shared, &received.call);
    let ended = {
        let served = pin!(serve_call(&shared, &mut respond, received, &span));
        served.instrument(span.span().clone()).await
    };
    if let Some(protection) = protection {
        protection.ended(&ended, deadline);
    }
    span.finish(ended.code());
}

fn open_span(shared: &Shared, call: &Call) -> ServerSpan {
    let caller = TraceContext::extract(&call.parts.head.headers);
    let method = call.path().trim_start_matches('/');
    let meter = shared.options.metrics.call(method);
    ServerSpan::open(method, caller.as_ref(), meter)
}

async fn serve_call(
    shared: &Shared,
    respond: &mut Respond,
    received: Received,
    span: &ServerSpan,
) -> Ended {
    let Received {
        mut call,
        entry,
        cut_off,
    } = received;
    let deadline = call.parts.deadline;
    let mut ending = Ending::new(deadline, cut_off);
    let uri = &call.parts.head.uri;
    let place = match admitted(shared, uri, entry, respond, &mut ending, span).await {
        Ok(place) => place,
        Err(ended) => return ended,
    };
    let mut observers = (!shared.options.interceptors.is_empty()).then(Arc::<Observers>::default);
    let meter = span.meter().clone();
    meter.observe(&mut observers);
    let path = call.parts.head.uri.path_and_query().cloned();
    let mut guard = Guard::of(path, shared.options.blocking_threshold, meter);
    let context = Context::of_call(deadline, span.trace().clone());
    call.parts.body.observe(observers.as_ref());
    call.parts.measured = place.measured();
    let unsent = call.parts.unsent.clone();
    let (ended, context) = {
        let answered = pin!(answer(
            shared,
            call,
            respond,
            &mut ending,
            &mut guard,
            observers.as_ref(),
            unsent.as_ref()
        ));
        let mut answered = pin!(context.scope_of_call(answered));
        let ended = answered.as_mut().await;
        (ended, answered.take_value())
    };
    if let (Ended::Early(_) | Ended::Reset(_), Some(context)) = (&ended, context) {
        // The handler has been dropped; what it moved to other tasks is told.
        context.cancel();
    }
    if let Some(observers) = observers {
        // It has ended as it has: their panic is for the log alone.
        let _ = guard.tell(|| observers.ended(&ended.status()));
    }
    place.finish(ended.code());
    ended
}

/// Waits for the call's turn, where it has to. A call whose deadline has passed by then does not have it: nobody waits for
/// what its handler would do.
///
/// # Errors
///
/// How the call ended, where it never gets its turn.
async fn admitted(
    shared: &Shared,
    uri: &Uri,
    entry: Result<Entry, Refusal>,
    respond: &mut Respond,
    ending: &mut Ending,
    span: &ServerSpan,
) -> Result<Place, Ended> {
    let refuse = |respond: &mut Respond, reason: RefusalReason, whose, status: Status| {
        // All that no handler sees passes here.
        reason.log(uri.path(), whose, &status);
        span.refused(reason);
        shared.options.metrics.refused(reason.name());
        Err(Ended::answered(answer_status(
            respond,
            HeaderMap::new(),
            status,
        )))
    };
    let late = RefusalReason::DeadlinePassed;
    let place = match entry {
        Ok(Entry::In(place)) => place,
        Ok(Entry::Waits(waiting)) => {
            let mut place = Box::pin(waiting.place());
            let turn = poll_fn(|cx| {
                // Its end is asked for first: a call whose deadline has passed meanwhile must not reach its handler.
                match ending.poll_end(cx, |cx| respond.poll_reset(cx)) {
                    Poll::Ready(end) => Poll::Ready(Err(end)),
                    Poll::Pending => place.as_mut().poll(cx).map(Ok),
                }
            });
            match turn.await {
                Ok(Ok(place)) => {
                    // Where calls wait, one follows another at once, and a runtime that always has a task looks at sockets
                    // and timers once in 61 of them: a task that yields goes on after it has looked. What waits unread is
                    // not refused, and its deadline does not count.
                    tokio::task::yield_now().await;
                    place
                }
                Ok(Err(refusal)) => {
                    return refuse(
                        respond,
                        refusal.reason,
                        Some(refusal.whose),
                        refusal.status(),
                    );
                }
                Err(End::Reset(code)) => return Err(Ended::Reset(gone(code))),
                Err(End::Status(status)) if status.code() == Code::DeadlineExceeded => {
                    return refuse(respond, late, None, status);
                }
                Err(End::Status(status)) => {
                    let answer = answer_status(respond, HeaderMap::new(), status);
                    return Err(Ended::answered(answer));
                }
            }
        }
        Err(refusal) => {
            return refuse(
                respond,
                refusal.reason,
                Some(refusal.whose),
                refusal.status(),
            );
        }
    };
    // It may have waited for the runtime as well.
    if ending.deadline().is_some_and(Deadline::is_expired) {
        place.came_late();
        return refuse(respond, late, None, status::deadline_exceeded());
    }
    Ok(place)
}

async fn answer(
    shared: &Shared,
    call: Call,
    respond: &mut Respond,
    ending: &mut Ending,
    guard: &mut Guard,
    observers: Option<&Arc<Observers>>,
    unsent: Option<&Arc<Unsent>>,
) -> Ended {
    let prepared = {
        let mut preparing = pin!(Some(prepare(shared, call, observers)));
        let prepared = poll_fn(|cx| {
            let polled = guard.poll(|| match preparing.as_mut().as_pin_mut() {
                Some(preparing) => preparing.poll(cx),
                None => Poll::Pending,
            });
            match polled {
                Poll::Ready(prepared) => Poll::Ready(prepared),
                Poll::Pending => ending.poll_end(cx, |cx| respond.poll_reset(cx)).map(Err),
            }
        })
        .await;
        if prepared.is_err() {
            guard.drop(|| preparing.set(None));
        }
        prepared
    };
    let mut watch = Watch::new(observers.cloned());
    match prepared {
        Ok(Prepared::Status(headers, status)) => {
            Ended::answered(answer_status(respond, headers, status))
        }
        Ok(Prepared::Message(headers, frame)) => match guard.tell(|| watch.data_sent(&frame)) {
            Ok(()) => answer_message(respond, headers, hold(unsent, frame), ending).await,
            Err(end) => answer_end(respond, end),
        },
        Ok(Prepared::Pieces(headers, first, mut pieces)) => {
            let ended = match respond.send_response(response(headers), false) {
                Ok(mut stream) => {
                    let pieces = &mut pieces;
                    let watch = &mut watch;
                    let sent =
                        send_pieces(&mut stream, first, pieces, ending, guard, watch, unsent);
                    // On the heap, so that calls with one message have no room for it.
                    Box::pin(sent).await
                }
                Err(_) => Ended::Reset(gone(ending_code(ending.deadline()))),
            };
            guard.drop(|| drop(pieces));
            ended
        }
        Err(end) => answer_end(respond, end),
    }
}

/// Answers a call that ends before it has been answered.
fn answer_end(respond: &mut Respond, end: End) -> Ended {
    match end {
        End::Reset(code) => Ended::Reset(gone(code)),
        End::Status(status) => match answer_status(respond, HeaderMap::new(), status) {
            Ok(status) => Ended::Early(status),
            Err(Unheard(status)) => Ended::Reset(status),
        },
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

async fn answer_message(
    respond: &mut Respond,
    headers: HeaderMap,
    frame: Bytes,
    ending: &mut Ending,
) -> Ended {
    let Ok(mut stream) = respond.send_response(response(headers), false) else {
        return Ended::Unheard(Status::ok(""));
    };
    if stream.has_room_for(&frame) {
        stream.send_data(frame);
    } else if let Err(end) = Box::pin(send_last(&mut stream, frame, ending)).await {
        return ended_early(&mut stream, end);
    }
    stream.send_trailers(HeaderMap::from_iter([status::OK]));
    Ended::Ok
}

async fn send_pieces(
    stream: &mut Answer,
    first: Option<Bytes>,
    pieces: &mut Pieces,
    ending: &mut Ending,
    guard: &mut Guard,
    watch: &mut Watch,
    unsent: Option<&Arc<Unsent>>,
) -> Ended {
    let mut next = first;
    let mut is_last = false;
    let mut room = Room::of(unsent);
    loop {
        let piece = match next.take() {
            Some(first) => Ok(Piece::Data(first)),
            None => {
                // Its end is asked for first: a stream that always has a message would never be asked otherwise.
                poll_fn(|cx| match ending.poll_end(cx, |cx| stream.poll_reset(cx)) {
                    // Who watches the server's health is told that it ends, first.
                    Poll::Ready(End::Status(status)) if is_cut_off(&status) && !is_last => {
                        is_last = true;
                        match guard.poll(|| pieces.poll_next(cx)) {
                            Poll::Pending => Poll::Ready(Err(End::Status(status))),
                            last => last,
                        }
                    }
                    Poll::Ready(end) => Poll::Ready(Err(end)),
                    Poll::Pending => {
                        ready!(room.poll(cx));
                        guard.poll(|| pieces.poll_next(cx))
                    }
                })
                .await
            }
        };
        let sent = match piece {
            Ok(Piece::Data(data)) => {
                let data = hold(unsent, data);
                // A full batch says that the handler's stream does not wait: others on this thread get their turn.
                if data.len() >= BATCH_SIZE {
                    tokio::task::yield_now().await;
                }
                match guard.tell(|| watch.data_sent(&data)) {
                    Ok(()) => send_data(stream, data, ending).await,
                    Err(end) => Err(end),
                }
            }
            Ok(Piece::End(status, metadata)) => match all_has_room(stream, ending).await {
                Ok(()) => return Ended::Answered(send_trailers(stream, metadata, status)),
                Err(end) => Err(end),
            },
            Err(end) => Err(end),
        };
        if let Err(end) = sent {
            return ended_early(stream, end);
        }
    }
}

/// Ends a stream before its handler does.
///
/// Its trailers come after the DATA that waits for the peer's room. A deadline bounds that wait too: past it, the stream is
/// reset. What a server that shuts down has to say may wait, since its connections end soon.
fn ended_early(stream: &mut Answer, end: End) -> Ended {
    let status = match end {
        End::Reset(code) => return Ended::Reset(gone(code)),
        End::Status(status) => status,
    };
    if status.code() == Code::DeadlineExceeded && !stream.has_room() {
        stream.send_reset(Reason::CANCEL);
        return Ended::Early(status);
    }
    Ended::Early(send_trailers(stream, HeaderMap::new(), status))
}

/// Counts `data` among what waits in its connection.
fn hold(unsent: Option<&Arc<Unsent>>, data: Bytes) -> Bytes {
    match unsent {
        Some(unsent) => unsent.hold(data),
        None => data,
    }
}

fn response(mut headers: HeaderMap) -> Response<()> {
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    response
}

/// # Errors
///
/// The stream is gone already: there is nobody to tell.
fn answer_status(
    respond: &mut Respond,
    mut headers: HeaderMap,
    status: Status,
) -> Result<Status, Unheard> {
    status::write(&status, &mut headers);
    match respond.send_response(response(headers), true) {
        Ok(_) => Ok(status),
        Err(Gone) => Err(Unheard(status)),
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
