//! A streamed reply, piece by piece.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;

use super::{body::Frames, encoding::ResponseEncoder};
use crate::status;

/// Small messages that are ready together leave in one DATA frame of about this size.
pub(super) const BATCH_SIZE: usize = 32 << 10;

/// A batch whose messages take longer to make ends before it is full, and other tasks have their turn: thousands of small
/// messages that are always ready would hold up all that is on their thread. It is some 5000 of the cheapest.
const BATCH_TIME: Duration = Duration::from_micros(250);

/// The clock is looked at after 2, 4, 8 messages and so on, then after so many each.
const MESSAGES_PER_LOOK: u32 = 64;

/// The messages of a handler's stream as frames, those that are ready together in one piece.
pub(super) struct Batches<S> {
    messages: Pin<Box<S>>,
    encoder: ResponseEncoder,
    /// How the messages have ended, behind the last piece.
    end: Option<Option<Status>>,
    /// Whether others have their turn first.
    rests: bool,
}

impl<S> Batches<S> {
    pub(super) fn new(messages: S, encoder: ResponseEncoder) -> Self {
        Self {
            messages: Box::pin(messages),
            encoder,
            end: None,
            rests: false,
        }
    }
}

impl<T: Message, S: Stream<Item = Result<T, Status>>> Stream for Batches<S> {
    type Item = Result<Bytes, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        let Self {
            messages,
            encoder,
            end,
            rests,
        } = &mut *self;
        if std::mem::take(rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut batch = BytesMut::new();
        let mut began = None;
        let mut count = 0_u32;
        while end.is_none() && batch.len() < BATCH_SIZE {
            let looks = count.is_power_of_two() || count.is_multiple_of(MESSAGES_PER_LOOK);
            // Not before the second: where messages come one by one, the clock would cost more than it tells.
            if count > 1 && looks {
                let began = began.get_or_insert_with(Instant::now);
                if began.elapsed() >= BATCH_TIME {
                    *rests = true;
                    break;
                }
            }
            count += 1;
            match messages.as_mut().poll_next(cx) {
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(Ok(message))) => {
                    *end = encoder.encode_into(&message, &mut batch).err().map(Some);
                }
                Poll::Ready(Some(Err(status))) => *end = Some(Some(status)),
                Poll::Ready(None) => *end = Some(None),
            }
        }
        match end.take_if(|_| batch.is_empty()) {
            Some(end) => Poll::Ready(end.map(Err)),
            None => Poll::Ready(Some(Ok(batch.freeze()))),
        }
    }
}

/// The pieces of a streamed reply.
pub(super) enum Pieces {
    Messages(Frames),
    #[cfg(feature = "tonic")]
    Http(tonic::body::Body),
}

pub(super) enum Piece {
    Data(Bytes),
    /// The end, with the metadata of the trailers.
    End(Status, HeaderMap),
}

impl Pieces {
    pub(super) fn of_messages(frames: Frames) -> Self {
        Self::Messages(frames)
    }

    pub(super) fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Piece> {
        match self {
            Self::Messages(frames) => Poll::Ready(match ready!(frames.as_mut().poll_next(cx)) {
                Some(Ok(data)) => Piece::Data(data),
                last => Piece::End(end_of(last), HeaderMap::new()),
            }),
            #[cfg(feature = "tonic")]
            Self::Http(body) => super::tower::poll_piece(body, cx),
        }
    }
}

/// The status that a stream of messages ended with.
fn end_of(last: Option<Result<Bytes, Status>>) -> Status {
    match last {
        Some(Err(status)) => status::of_handler(status),
        Some(Ok(_)) | None => Status::ok(""),
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::frame;

    fn frames(messages: &[&str]) -> BytesMut {
        let mut frames = BytesMut::new();
        for message in messages {
            frame::encode_into(&(*message).to_owned(), &mut frames).unwrap();
        }
        frames
    }

    #[tokio::test]
    async fn messages_that_are_ready_together_leave_in_one_piece() {
        let (sender, messages) = tokio::sync::mpsc::channel(4);
        let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
        let mut batches = Batches::new(messages, ResponseEncoder::identity());
        for word in ["one", "two"] {
            sender.send(Ok(word.to_owned())).await.unwrap();
        }
        assert_eq!(
            batches.next().await.unwrap().unwrap(),
            frames(&["one", "two"])
        );
        sender.send(Ok("three".to_owned())).await.unwrap();
        drop(sender);
        assert_eq!(batches.next().await.unwrap().unwrap(), frames(&["three"]));
        assert!(batches.next().await.is_none());
    }

    #[tokio::test]
    async fn what_comes_before_an_error_leaves_before_it() {
        let messages = [Ok("one".to_owned()), Err(Status::aborted("enough"))];
        let mut batches = Batches::new(tokio_stream::iter(messages), ResponseEncoder::identity());
        assert_eq!(batches.next().await.unwrap().unwrap(), frames(&["one"]));
        let error = batches.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::Aborted);
    }

    #[test]
    fn a_batch_that_takes_long_ends_and_others_have_their_turn_before_the_next() {
        let slow = tokio_stream::iter(["one"; 8]).map(|word| {
            std::thread::sleep(BATCH_TIME);
            Ok(word.to_owned())
        });
        let mut batches = Batches::new(slow, ResponseEncoder::identity());
        let cx = &mut TaskContext::from_waker(std::task::Waker::noop());
        for _ in 0..2 {
            let Poll::Ready(Some(Ok(batch))) = Pin::new(&mut batches).poll_next(cx) else {
                panic!("a message is ready");
            };
            assert_eq!(batch, frames(&["one"; 4]));
            assert!(Pin::new(&mut batches).poll_next(cx).is_pending());
        }
        assert!(matches!(
            Pin::new(&mut batches).poll_next(cx),
            Poll::Ready(None)
        ));
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_size() {
        let messages = vec![Ok("x".repeat(BATCH_SIZE / 4)); 8];
        let batches = Batches::new(tokio_stream::iter(messages), ResponseEncoder::identity());
        assert_eq!(batches.collect::<Vec<_>>().await.len(), 2);
    }
}
