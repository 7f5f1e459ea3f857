//! What is sent on a stream while the peer has room for it, and for as long as the call may wait.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use tonic::Code;

use super::{
    ending::{End, Ending, ending_code},
    respond::Answer,
};
use crate::flow::Gone;

/// Sends `data` as the peer has room for it, unless the call ends before: so nothing waits in the connection that the call's
/// deadline does not bound.
///
/// Empty data says nothing, and is not sent: there is no room to wait for.
pub(super) async fn send_data(
    answer: &mut Answer,
    data: Bytes,
    ending: &mut Ending,
) -> Result<(), End> {
    match answer {
        Answer::Http2(stream) => send_in_pieces(stream, data, ending).await,
        Answer::Http(answer) => {
            let deadline = ending.deadline();
            let mut sending = pin!(answer.send(data));
            poll_fn(|cx| match sending.as_mut().poll(cx) {
                Poll::Ready(sent) => {
                    Poll::Ready(sent.map_err(|Gone| End::Reset(ending_code(deadline))))
                }
                Poll::Pending => ending.poll_end(cx, |_| Poll::Pending).map(Err),
            })
            .await
        }
    }
}

async fn send_in_pieces(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    ending: &mut Ending,
) -> Result<(), End> {
    let deadline = ending.deadline();
    let gone = || End::Reset(ending_code(deadline));
    let mut is_begun = false;
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| match stream.capacity() {
            0 => match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
                Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(gone())),
                Poll::Pending => ending.poll_end(cx, |_| Poll::Pending).map(Err),
            },
            room => Poll::Ready(Ok(room)),
        });
        let room = match room.await {
            Ok(room) => room,
            Err(end) => {
                give_up(stream, data, is_begun, &end);
                return Err(end);
            }
        };
        if room > 0 {
            let piece = data.split_to(room.min(data.len()));
            stream.send_data(piece, false).map_err(|_| gone())?;
            is_begun = true;
        }
    }
    Ok(())
}

/// No trailers can follow a part of a message: past its deadline, the stream is reset. What a server that shuts down has to
/// say may wait, since its connections end soon.
fn give_up(stream: &mut SendStream<Bytes>, rest: Bytes, is_begun: bool, end: &End) {
    match end {
        End::Status(status) if status.code() == Code::DeadlineExceeded => {
            if is_begun {
                stream.send_reset(Reason::CANCEL);
            }
        }
        End::Status(_) => drop(stream.send_data(rest, false)),
        End::Reset(_) => {}
    }
}
