//! Where the answer to a call goes: to a stream of a connection, or to an HTTP layer.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Response};
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, body::Body};

use super::trailers;
use crate::flow::{self, Gone};

/// Takes the head of a response.
pub(super) enum Respond {
    Http2 {
        respond: SendResponse<Bytes>,
        /// In bytes, as HTTP/2 counts them.
        max_trailers: usize,
    },
    /// Whoever drops the other side wants no answer any more.
    Http(Option<oneshot::Sender<Response<Body>>>),
}

impl Respond {
    /// An answer that is taken as a whole response.
    pub(super) fn http() -> (Self, oneshot::Receiver<Response<Body>>) {
        let (sender, response) = oneshot::channel();
        (Self::Http(Some(sender)), response)
    }

    pub(super) fn send_response(
        &mut self,
        mut head: Response<()>,
        end_of_stream: bool,
    ) -> Result<Answer, Gone> {
        match self {
            Self::Http2 {
                respond,
                max_trailers,
            } => {
                if end_of_stream {
                    trailers::fit(head.headers_mut(), *max_trailers);
                }
                let sent = respond.send_response(head, end_of_stream);
                let stream = sent.map_err(|_| Gone)?;
                Ok(Answer::Http2 {
                    stream,
                    max_trailers: *max_trailers,
                })
            }
            Self::Http(sender) => {
                let (answer, body) = match end_of_stream {
                    true => (HttpAnswer::default(), Body::empty()),
                    false => HttpAnswer::new(),
                };
                let sender = sender.take().ok_or(Gone)?;
                sender.send(head.map(|()| body)).map_err(|_| Gone)?;
                Ok(Answer::Http(answer))
            }
        }
    }

    /// Whether it counts how this ends. What comes by HTTP layers is counted around them: they may give up a call whose caller
    /// still waits.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Self::Http2 { .. })
    }

    /// Ready once the caller does not want the answer any more.
    pub(super) fn poll_reset(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Http2 { respond, .. } => respond.poll_reset(cx),
            Self::Http(sender) => poll_closed(sender, cx),
        }
    }
}

/// Takes what follows the head of a response.
pub(super) enum Answer {
    Http2 {
        stream: SendStream<Bytes>,
        max_trailers: usize,
    },
    Http(HttpAnswer),
}

impl Answer {
    /// Sends `data` now, whatever room there is.
    pub(super) fn send_data(&mut self, data: Bytes) {
        match self {
            // An error means that the stream is gone: there is nobody to tell.
            Self::Http2 { stream, .. } => drop(stream.send_data(data, false)),
            Self::Http(answer) => answer.send_first(data),
        }
    }

    /// Whether `data`, if it is the first that is sent, leaves as a whole without waiting for the peer.
    pub(super) fn has_room_for(&mut self, data: &Bytes) -> bool {
        match self {
            Self::Http2 { stream, .. } => {
                stream.reserve_capacity(data.len());
                stream.capacity() >= data.len()
            }
            Self::Http(_) => true,
        }
    }

    /// Sends `data` once there is room for some of it.
    pub(super) async fn send(&mut self, data: Bytes) -> Result<(), Gone> {
        match self {
            Self::Http2 { stream, .. } => flow::send(stream, data).await,
            Self::Http(answer) => answer.send(data).await,
        }
    }

    /// Waits for room beyond what was sent.
    pub(super) async fn room(&mut self) -> Result<(), Gone> {
        match self {
            Self::Http2 { stream, .. } => flow::room_for(stream, 1).await,
            // What takes the pieces has the last one once it gets the trailers.
            Self::Http(_) => Ok(()),
        }
    }

    /// Whether what is sent now would leave now.
    pub(super) fn has_room(&mut self) -> bool {
        match self {
            Self::Http2 { stream, .. } => {
                stream.reserve_capacity(1);
                stream.capacity() > 0
            }
            Self::Http(answer) => answer.has_room(),
        }
    }

    pub(super) fn send_trailers(&mut self, mut trailers: HeaderMap) {
        match self {
            Self::Http2 {
                stream,
                max_trailers,
            } => {
                trailers::fit(&mut trailers, *max_trailers);
                let _ = stream.send_trailers(trailers);
            }
            Self::Http(answer) => answer.end(trailers),
        }
    }

    pub(super) fn send_reset(&mut self, reason: Reason) {
        match self {
            Self::Http2 { stream, .. } => stream.send_reset(reason),
            // Its body ends with an error, which resets the stream that it is sent on.
            Self::Http(answer) => *answer = HttpAnswer::default(),
        }
    }

    /// Ready once the caller does not want the rest any more.
    pub(super) fn poll_reset(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Http2 { stream, .. } => stream.poll_reset(cx),
            Self::Http(answer) => poll_closed(&mut answer.trailers, cx),
        }
    }
}

fn poll_closed<T>(
    sender: &mut Option<oneshot::Sender<T>>,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<Reason, h2::Error>> {
    match sender {
        Some(sender) => sender.poll_closed(cx).map(|()| Ok(Reason::CANCEL)),
        None => Poll::Pending,
    }
}

/// Feeds an [`AnswerBody`]; the default feeds none.
#[derive(Default)]
pub(super) struct HttpAnswer {
    data: Option<mpsc::Sender<Bytes>>,
    trailers: Option<oneshot::Sender<HeaderMap>>,
}

impl HttpAnswer {
    fn new() -> (Self, Body) {
        // One piece waits at most, as in a connection.
        let (data, pieces) = mpsc::channel(1);
        let (trailers, end) = oneshot::channel();
        let answer = Self {
            data: Some(data),
            trailers: Some(trailers),
        };
        let body = AnswerBody {
            pieces,
            end: Some(end),
        };
        (answer, Body::new(body))
    }

    fn send_first(&mut self, data: Bytes) {
        if let Some(sender) = &self.data {
            let sent = sender.try_send(data);
            debug_assert!(
                !matches!(sent, Err(mpsc::error::TrySendError::Full(_))),
                "the first piece has room"
            );
        }
    }

    async fn send(&mut self, data: Bytes) -> Result<(), Gone> {
        let sender = self.data.as_ref().ok_or(Gone)?;
        sender.send(data).await.map_err(|_| Gone)
    }

    fn has_room(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.capacity() > 0)
    }

    fn end(&mut self, trailers: HeaderMap) {
        self.data = None;
        if let Some(sender) = self.trailers.take() {
            // Nobody to tell, if it fails.
            let _ = sender.send(trailers);
        }
    }
}

/// What follows the head of a response that an HTTP layer gets. Dropping it cancels the call.
struct AnswerBody {
    pieces: mpsc::Receiver<Bytes>,
    /// The trailers, until they have been taken.
    end: Option<oneshot::Receiver<HeaderMap>>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = ready!(self.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(end) = &mut self.end else {
            return Poll::Ready(None);
        };
        let trailers = ready!(Pin::new(end).poll(cx));
        self.end = None;
        Poll::Ready(Some(match trailers {
            Ok(trailers) => Ok(Frame::trailers(trailers)),
            Err(_) => Err(Status::cancelled("the call was reset")),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none()
    }
}
