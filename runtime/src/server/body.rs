//! The bodies of a served call: the request's as it comes in, the reply's as it goes out.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio_stream::Stream;
use tonic::{Status, body::Body};

#[cfg(feature = "validation")]
use crate::validation::RequestRules;
use crate::{
    flow,
    frame::{self, FrameScanner},
    interceptor::{Observers, Watch},
    status,
};

/// The body of a request: message frames.
///
/// As an [`http_body::Body`] it ends with RESOURCE_EXHAUSTED at a message over the server's limit.
pub struct RequestBody {
    source: Source,
    watch: Watch,
    scanner: FrameScanner,
    max_message_size: usize,
    is_refused: bool,
    #[cfg(feature = "validation")]
    rules: Option<Arc<RequestRules>>,
}

/// Where a request's body comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A stream of a connection of this server.
    Http2(RecvStream),
    /// An HTTP layer, or whatever this server is mounted in.
    Http(Body),
}

impl Source {
    fn poll_data(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match self {
            Self::Http2(stream) => {
                let data = ready!(flow::poll_data(stream, cx));
                Poll::Ready(data.map(|data| data.map_err(status::from_h2)))
            }
            Self::Http(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        // Trailers of a request say nothing.
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                    None => return Poll::Ready(None),
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http2(stream) => stream.is_end_stream(),
            Self::Http(body) => body.is_end_stream(),
        }
    }
}

// For HTTP layers, which see it as it came.
impl http_body::Body for Source {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let data = ready!(self.get_mut().poll_data(cx));
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        Self::is_end_stream(self)
    }
}

impl RequestBody {
    pub(super) fn new(source: Source, max_message_size: usize) -> Self {
        Self {
            source,
            watch: Watch::new(None),
            scanner: FrameScanner::default(),
            max_message_size,
            is_refused: false,
            #[cfg(feature = "validation")]
            rules: None,
        }
    }

    /// Tells these observers of the messages.
    pub(super) fn observe(&mut self, observers: Option<&Arc<Observers>>) {
        self.watch = Watch::new(observers.cloned());
    }

    /// The largest message that may come, in bytes.
    pub(crate) fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// Holds the messages to these rules.
    #[cfg(feature = "validation")]
    pub(super) fn hold_to(&mut self, rules: Option<&Arc<RequestRules>>) {
        self.rules = rules.cloned();
    }

    /// Whether messages are held to rules.
    #[cfg(all(feature = "validation", feature = "tonic"))]
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// What its rules say of a message.
    #[cfg(feature = "validation")]
    pub(crate) fn validate(&self, message: Bytes) -> Result<Bytes, Status> {
        match &self.rules {
            None => Ok(message),
            Some(rules) => rules.check(message.clone()).map(|()| message),
        }
    }

    pub(crate) fn poll_data(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        let data = ready!(self.source.poll_data(cx));
        if let Some(Ok(data)) = &data {
            self.watch.data_received(data);
        }
        Poll::Ready(data)
    }

    /// Holds the messages in `data` to the limit.
    fn check(&mut self, data: &[u8]) -> Result<(), Status> {
        let limit = self.max_message_size;
        let mut largest = 0;
        self.scanner.scan(data, |size| largest = largest.max(size));
        if largest > limit {
            self.is_refused = true;
            return Err(frame::too_large(
                &format!("received a message of {largest} bytes"),
                frame::MAX_RECEIVE,
                limit,
            ));
        }
        Ok(())
    }
}

// For services that read frames by themselves; those of our own read them by a `FrameReader`, which has the limit.
impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let body = self.get_mut();
        if body.is_refused {
            return Poll::Ready(None);
        }
        let data = ready!(body.poll_data(cx)).map(|data| {
            let data = data?;
            body.check(&data)?;
            Ok(Frame::data(data))
        });
        Poll::Ready(data)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// Encoded messages that a handler streams.
pub(super) type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// What follows a reply's headers.
pub(super) enum ReplyBody {
    /// Nothing: the headers are the trailers.
    TrailersOnly(Status),
    /// One message, then the trailers of OK.
    Message(Bytes),
    /// Messages, then the trailers of how the stream ended.
    Messages(Frames),
    /// A body as tonic makes it, trailers included.
    #[cfg(feature = "tonic")]
    Http(Body),
}

/// What a handler answered, ready to be sent. Made by the methods of [`Call`](super::Call).
pub struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: ReplyBody,
}

impl Reply {
    /// The reply to a call that no service sees; interceptors and observers do.
    pub(super) fn early(status: Status) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: ReplyBody::TrailersOnly(status),
        }
    }

    /// The reply of a handler that failed.
    pub(super) fn status(status: Status) -> Self {
        Self::early(status::of_handler(status))
    }
}

impl From<Status> for Reply {
    fn from(status: Status) -> Self {
        Self::status(status)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
