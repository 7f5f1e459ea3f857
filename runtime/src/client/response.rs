//! The response of a call, from its headers to its status.

use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Response};
use http_body::Frame;
use tonic::{Code, Status};

use super::{
    attempt::{Answer, Upload},
    bounds::Bounds,
    replay::Payload,
};
use crate::{
    spans::{AttemptSpan, CallSpan},
    status,
};

/// The body of a call's response: message frames, then trailers.
///
/// The call's deadline and cancellation bound it to its end. Dropping it before then cancels the call.
pub struct ResponseBody {
    state: State,
    bounds: Bounds,
    payload: Payload,
    upload: Option<Upload>,
    call_span: CallSpan,
    attempt_span: AttemptSpan,
}

enum State {
    Data(RecvStream),
    /// The messages have ended: with the stream's trailers to come, or those of a Trailers-Only response.
    Trailers(RecvStream),
    TrailersOnly(HeaderMap),
    Ended,
}

impl ResponseBody {
    pub(super) fn of(
        answer: Answer,
        payload: Payload,
        bounds: Bounds,
        call_span: CallSpan,
    ) -> Response<Self> {
        let (headers, state) = match answer.body {
            Some(body) => (answer.headers, State::Data(body)),
            None => (HeaderMap::new(), State::TrailersOnly(answer.headers)),
        };
        let body = Self {
            state,
            bounds,
            payload,
            upload: answer.upload,
            call_span,
            attempt_span: answer.span,
        };
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        response
    }

    /// The next piece of DATA; `None` once the messages have ended.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        let State::Data(stream) = &mut self.state else {
            return Poll::Ready(None);
        };
        let data = match stream.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => {
                // An error means that the stream is gone, which the next poll reports.
                let _ = stream.flow_control().release_capacity(data.len());
                Ok(data)
            }
            Poll::Ready(Some(Err(error))) => {
                let status = self
                    .payload
                    .take_error()
                    .unwrap_or_else(|| status::from_h2(error));
                Err(self.fail(self.bounds.judge(status)))
            }
            Poll::Ready(None) => {
                if let State::Data(stream) = std::mem::replace(&mut self.state, State::Ended) {
                    self.state = State::Trailers(stream);
                }
                return Poll::Ready(None);
            }
            Poll::Pending => Err({
                let status = ready!(self.bounds.poll_end(cx));
                self.fail(status)
            }),
        };
        Poll::Ready(Some(data))
    }

    /// The metadata of the trailers; to be polled once the messages have ended.
    ///
    /// # Errors
    ///
    /// The status that the call ended with, unless that is OK.
    pub(crate) fn poll_trailers(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<HeaderMap, Status>> {
        let trailers = match &mut self.state {
            State::Trailers(stream) => match stream.poll_trailers(cx) {
                Poll::Ready(Ok(trailers)) => status::from_trailers(trailers.unwrap_or_default()),
                Poll::Ready(Err(error)) => Err(status::from_h2(error)),
                Poll::Pending => Err(ready!(self.bounds.poll_end(cx))),
            },
            State::TrailersOnly(trailers) => Ok(std::mem::take(trailers)),
            State::Data(_) | State::Ended => return Poll::Ready(Ok(HeaderMap::new())),
        };
        Poll::Ready(match trailers {
            Ok(trailers) => {
                self.finish(Code::Ok);
                Ok(trailers)
            }
            Err(status) => Err(self.fail(self.bounds.judge(status))),
        })
    }

    /// Ends the call with an error found on this side, such as a message that cannot be decoded.
    pub(crate) fn fail(&mut self, status: Status) -> Status {
        self.finish(status.code());
        status
    }

    fn finish(&mut self, code: Code) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.state = State::Ended;
        self.upload = None;
        self.bounds = Bounds::default();
        self.attempt_span.finish(code);
        self.call_span.finish(code);
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let body = self.get_mut();
        if let Some(data) = ready!(body.poll_data(cx)) {
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        if matches!(body.state, State::Ended) {
            return Poll::Ready(None);
        }
        // tonic's client looks for the status in the trailers.
        let mut trailers = ready!(body.poll_trailers(cx))?;
        status::write(&Status::ok(""), &mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
