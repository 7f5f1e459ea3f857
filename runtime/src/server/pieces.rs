//! A streamed reply, piece by piece.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
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

/// The messages of a handler's stream as frames, those that are ready together in one piece.
pub(super) struct Batches<S> {
    messages: Pin<Box<S>>,
    encoder: ResponseEncoder,
    /// How the messages have ended, behind the last piece.
    end: Option<Option<Status>>,
}

impl<S> Batches<S> {
    pub(super) fn new(messages: S, encoder: ResponseEncoder) -> Self {
        Self {
            messages: Box::pin(messages),
            encoder,
            end: None,
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
        } = &mut *self;
        let mut batch = BytesMut::new();
        while end.is_none() && batch.len() < BATCH_SIZE {
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

    #[tokio::test]
    async fn a_batch_ends_at_its_size() {
        let messages = vec![Ok("x".repeat(BATCH_SIZE / 4)); 8];
        let batches = Batches::new(tokio_stream::iter(messages), ResponseEncoder::identity());
        assert_eq!(batches.collect::<Vec<_>>().await.len(), 2);
    }
}
