//! Messages that come in: responses on the client, requests on the server.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use prost::Message;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, metadata::MetadataMap};

use crate::{
    client::ResponseBody,
    compression::Compression,
    frame::{self, FrameReader},
    server::RequestBody,
    status,
};

/// A stream of messages that come in: responses on the client, requests on the server.
///
/// It ends with `None` where the other side ended it well, and with an error that says how the call ended where not.
/// On the client, dropping it before its end cancels the call.
pub struct Streaming<T> {
    messages: MessageReader,
    message: PhantomData<fn() -> T>,
}

impl<T> Streaming<T> {
    pub(crate) fn new(messages: MessageReader) -> Self {
        Self {
            messages,
            message: PhantomData,
        }
    }
}

impl<T: Message + Default> Streaming<T> {
    /// The next message; `None` at the end.
    ///
    /// # Errors
    ///
    /// The status that the call ended with; INTERNAL for what cannot be decoded.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await.transpose()
    }

    /// The trailers' metadata, once the stream has ended; whatever messages are left are read and thrown away.
    ///
    /// # Errors
    ///
    /// The status that the call ended with.
    pub async fn trailers(&mut self) -> Result<MetadataMap, Status> {
        while self.messages.next().await.transpose()?.is_some() {}
        self.messages.succeed();
        Ok(MetadataMap::from_headers(self.messages.take_trailers()))
    }

    /// The metadata of a bidirectional call's response, once the server has answered.
    ///
    /// Other kinds of call have it in their [`Response`](tonic::Response); there, and on the server, this is empty.
    ///
    /// # Errors
    ///
    /// The status of a call that has ended without response headers.
    pub async fn metadata(&mut self) -> Result<&MetadataMap, Status> {
        poll_fn(|cx| self.messages.poll_opened(cx)).await;
        match &self.messages.source {
            Source::Failed(status) => Err(status::copy(status)),
            _ => Ok(self.messages.metadata.get_or_insert_default()),
        }
    }

    fn poll_message(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let message = ready!(self.messages.poll_next(cx));
        if message.is_none() {
            self.messages.succeed();
        }
        Poll::Ready(message.map(|message| {
            message
                .and_then(frame::decode)
                .map_err(|status| self.messages.fail(status))
        }))
    }
}

impl<T: Message + Default> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}

/// The encoded messages of a body, whichever side it comes from.
pub(crate) struct MessageReader {
    source: Source,
    frames: FrameReader,
    // On the heap, as few readers have any.
    metadata: Option<Box<MetadataMap>>,
    trailers: Option<Box<HeaderMap>>,
}

/// A call that has been started: the response's metadata, and its messages.
pub(crate) type Opened = Result<(MetadataMap, MessageReader), Status>;

enum Source {
    Opening(AbortOnDropHandle<Opened>),
    /// It could not be started; the status is the first item.
    Failed(Status),
    Response(ResponseBody),
    /// The status was OK, and the call ends with what the reader makes of the messages.
    Read(ResponseBody),
    Request(RequestBody),
    Ended,
}

impl MessageReader {
    pub(crate) fn of_response(
        body: ResponseBody,
        max_message_size: usize,
        compression: Compression,
    ) -> Self {
        let frames = FrameReader::new(max_message_size, compression);
        Self::new(Source::Response(body), frames)
    }

    /// The messages of a call that is being started.
    pub(crate) fn opening(opening: AbortOnDropHandle<Opened>) -> Self {
        let frames = FrameReader::new(0, Compression::Identity);
        Self::new(Source::Opening(opening), frames)
    }

    pub(crate) fn of_request(body: RequestBody, compression: Compression) -> Self {
        let frames = FrameReader::new(body.max_message_size(), compression);
        Self::new(Source::Request(body), frames)
    }

    fn new(source: Source, frames: FrameReader) -> Self {
        Self {
            source,
            frames,
            metadata: None,
            trailers: None,
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The message of a side that has one to say, once that side has ended well.
    ///
    /// # Errors
    ///
    /// INTERNAL where there is none, or more than one.
    pub(crate) async fn one(&mut self) -> Result<Bytes, Status> {
        let side = match self.source {
            Source::Request(_) => "request",
            _ => "response",
        };
        let message = self.next().await.transpose()?;
        let second = match self.is_over() {
            true => None,
            false => self.next().await.transpose()?,
        };
        let fault = match (message, second) {
            (Some(message), None) => return Ok(message),
            (None, _) => "ended without a message",
            (Some(_), Some(_)) => "has more than one message",
        };
        Err(self.fail(Status::internal(format!("the {side} {fault}"))))
    }

    /// Whether it is known of a request, without asking for more, that nothing follows what was read.
    fn is_over(&self) -> bool {
        match &self.source {
            Source::Request(body) => self.frames.is_empty() && body.is_end_stream(),
            _ => false,
        }
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        // Messages that are there already are not delivered after the deadline, either.
        if let Source::Response(body) = &mut self.source
            && let Poll::Ready(status) = body.poll_bounds(cx)
        {
            return Poll::Ready(Some(Err(self.fail(status))));
        }
        loop {
            match self.frames.next() {
                Ok(Some(message)) => return Poll::Ready(Some(self.validated(message))),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(self.fail(status)))),
            }
            let data = match &mut self.source {
                Source::Opening(_) => {
                    ready!(self.poll_opened(cx));
                    continue;
                }
                Source::Failed(_) => {
                    let failed = std::mem::replace(&mut self.source, Source::Ended);
                    let Source::Failed(status) = failed else {
                        continue;
                    };
                    return Poll::Ready(Some(Err(status)));
                }
                Source::Response(body) => ready!(body.poll_data(cx)),
                Source::Request(body) => ready!(body.poll_data(cx)),
                Source::Read(_) | Source::Ended => return Poll::Ready(None),
            };
            match data {
                Some(Ok(data)) => self.frames.push(data),
                Some(Err(status)) => return Poll::Ready(Some(Err(self.fail(status)))),
                None => {
                    return ready!(self.poll_end(cx))
                        .map_or(Poll::Ready(None), |error| Poll::Ready(Some(Err(error))));
                }
            }
        }
    }

    /// A message, where it holds to the rules of the call.
    fn validated(&mut self, message: Bytes) -> Result<Bytes, Status> {
        #[cfg(feature = "validation")]
        if let Source::Request(body) = &self.source {
            let validated = body.validate(message);
            return validated.map_err(|status| self.fail(status));
        }
        Ok(message)
    }

    /// Waits for the response headers of a call that is being started.
    fn poll_opened(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Source::Opening(opening) = &mut self.source else {
            return Poll::Ready(());
        };
        let opened = match ready!(Pin::new(opening).poll(cx)) {
            Ok(opened) => opened,
            Err(error) => Err(Status::internal(format!("the call's task ended: {error}"))),
        };
        match opened {
            Ok((metadata, messages)) => {
                *self = Self {
                    metadata: Some(Box::new(metadata)),
                    ..messages
                }
            }
            Err(status) => self.source = Source::Failed(status),
        }
        Poll::Ready(())
    }

    /// The end of the messages: an error where the call did not end well.
    fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Status>> {
        if let Source::Response(body) = &mut self.source {
            match ready!(body.poll_trailers(cx)) {
                Ok(trailers) if trailers.is_empty() => {}
                Ok(trailers) => self.trailers = Some(Box::new(trailers)),
                Err(status) => return Poll::Ready(Some(self.fail(status))),
            }
        }
        if !self.frames.is_empty() {
            return Poll::Ready(Some(
                self.fail(Status::internal("the stream ended inside a message")),
            ));
        }
        self.source = match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Response(body) => Source::Read(body),
            _ => Source::Ended,
        };
        Poll::Ready(None)
    }

    /// Ends a call all of whose messages were read, and were what they should be.
    pub(crate) fn succeed(&mut self) {
        if let Source::Read(body) = &mut self.source {
            body.succeed();
            self.source = Source::Ended;
        }
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(&mut self, status: Status) -> Status {
        // Nothing follows an error: not what has come in already, either.
        self.frames.clear();
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Response(mut body) | Source::Read(mut body) => body.fail(status),
            Source::Opening(_) | Source::Failed(_) | Source::Request(_) | Source::Ended => status,
        }
    }

    pub(crate) fn take_trailers(&mut self) -> HeaderMap {
        self.trailers
            .take()
            .map_or_else(HeaderMap::new, |trailers| *trailers)
    }
}
