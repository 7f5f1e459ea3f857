//! What is sent on a stream, for as long as the call may wait for its peer.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;

use super::{
    ending::{End, Ending, ending_code},
    respond::Answer,
};
use crate::flow::Gone;

/// Sends `data` once the peer has room for some of it, unless the call ends before.
pub(super) async fn send_data(
    answer: &mut Answer,
    data: Bytes,
    ending: &mut Ending,
) -> Result<(), End> {
    unless_ended(answer.send(data), ending).await
}

/// Sends `data`, and waits until the peer has room for all of it, unless the call ends before.
pub(super) async fn send_last(
    answer: &mut Answer,
    data: Bytes,
    ending: &mut Ending,
) -> Result<(), End> {
    send_data(answer, data, ending).await?;
    all_has_room(answer, ending).await
}

/// Waits until the peer has room for all that was sent, unless the call ends before: so nothing waits in the connection that
/// the call's deadline does not bound.
pub(super) async fn all_has_room(answer: &mut Answer, ending: &mut Ending) -> Result<(), End> {
    match answer.has_room() {
        true => Ok(()),
        false => unless_ended(answer.room(), ending).await,
    }
}

async fn unless_ended(
    sending: impl Future<Output = Result<(), Gone>>,
    ending: &mut Ending,
) -> Result<(), End> {
    let deadline = ending.deadline();
    let mut sending = pin!(sending);
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(sent) => Poll::Ready(sent.map_err(|Gone| End::Reset(ending_code(deadline)))),
        Poll::Pending => ending.poll_end(cx, |_| Poll::Pending).map(Err),
    })
    .await
}
