//! How a call is answered: its handler, then the frames of its response.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Poll, ready},
};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response, header};
use tonic::{Code, Status};

use super::{
    Call,
    body::{Reply, ReplyBody},
    connections::Shared,
    ended::{Ended, Unheard},
    ending::{End, Ending, ending_code, is_cut_off},
    guard::Guard,
    intercepted::dispatch,
    pieces::{BATCH_SIZE, Piece, Pieces},
    protection::{LEAST_COUNTED, Room, Unsent},
    respond::{Answer, Respond},
    sending::{all_has_room, send_data, send_last},
};
use crate::{
    flow::Gone,
    interceptor::{Observers, Watch},
    limits::CONTENT_TYPE,
    status,
};

/// The trailers of most responses: to clone a map costs less than to make it.
static OK: LazyLock<HeaderMap> = LazyLock::new(|| HeaderMap::from_iter([status::OK]));

/// Answers a call that has been admitted, unless it ends before.
pub(super) async fn answer(
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
    // Nobody waits with what is small: h2 keeps it until its peer has room, as little as it is.
    if frame.len() < LEAST_COUNTED || stream.has_room_for(&frame) {
        stream.send_data(frame);
    } else if let Err(end) = Box::pin(send_last(&mut stream, frame, ending)).await {
        return ended_early(&mut stream, end);
    }
    stream.send_trailers(OK.clone());
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

/// Answers a call with a status alone.
///
/// # Errors
///
/// The stream is gone already: there is nobody to tell.
pub(super) fn answer_status(
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
pub(super) fn gone(code: Code) -> Status {
    Status::new(code, "the caller went away")
}
