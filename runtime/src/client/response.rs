//! The response of a call, from its headers to its status.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Response};
use http_body::Frame;
use tonic::{Code, Status};

use super::{Answered, AttemptRules, attempt::Sent, bounds::Bounds, replay::ReplayBuffer};
use crate::{
    flow,
    frame::{self, FrameScanner},
    interceptor::Observers,
    spans::{AttemptSpan, CallSpan},
    status,
};

/// The body of a call's response: message frames, then trailers.
///
/// The call's deadline and cancellation bound it to its end. Dropping it before then cancels the call. The default is an
/// empty body of no call.
#[derive(Default)]
pub struct ResponseBody {
    /// `None` once the call has ended.
    call: Option<Box<OpenCall>>,
}

/// A call whose response has headers, and no end yet.
struct OpenCall {
    messages: Messages,
    scanner: FrameScanner,
    ongoing: Ongoing,
    sent: Option<Arc<ReplayBuffer>>,
    /// Sends what the caller still has to say; dropped with the call, after the messages' stream.
    _sent: Sent,
    attempt_span: AttemptSpan,
}

/// What goes on from the start of a call to its end.
pub(super) struct Ongoing {
    pub(super) bounds: Bounds,
    pub(super) rules: AttemptRules,
    pub(super) observers: Option<Arc<Observers>>,
    pub(super) max_message_size: Option<usize>,
    pub(super) call_span: CallSpan,
}

enum Messages {
    Data(RecvStream),
    /// They have ended: with the stream's trailers to come, or those of a Trailers-Only response.
    Trailers(RecvStream),
    TrailersOnly(HeaderMap),
}

impl ResponseBody {
    pub(super) fn of(answered: Answered, ongoing: Ongoing) -> Response<Self> {
        let Answered { answer, sent } = answered;
        let (headers, messages) = match answer.body {
            Some(body) => (answer.headers, Messages::Data(body)),
            None => (HeaderMap::new(), Messages::TrailersOnly(answer.headers)),
        };
        let call = OpenCall {
            messages,
            scanner: FrameScanner::default(),
            ongoing,
            sent,
            _sent: answer.sent,
            attempt_span: answer.span,
        };
        let mut response = Response::new(Self {
            call: Some(Box::new(call)),
        });
        *response.headers_mut() = headers;
        response
    }

    /// The next piece of DATA; `None` once the messages have ended.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(None);
        };
        let data = ready!(call.poll_data(cx));
        Poll::Ready(data.map(|data| data.map_err(|status| self.fail(status))))
    }

    /// Ready once a bound of the call has been passed, with the status that it ended with.
    pub(crate) fn poll_bounds(&mut self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let status = ready!(call.ongoing.bounds.poll_end(cx));
        Poll::Ready(self.fail(status))
    }

    /// The metadata of the trailers; to be polled once the messages have ended. Whoever reads those says then whether the
    /// call has succeeded.
    ///
    /// # Errors
    ///
    /// The status that the call ended with, unless that is OK.
    pub(crate) fn poll_trailers(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<HeaderMap, Status>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(Ok(HeaderMap::new()));
        };
        let trailers = ready!(call.poll_trailers(cx));
        Poll::Ready(trailers.map_err(|status| self.fail(status)))
    }

    /// Ends the call with OK.
    pub(crate) fn succeed(&mut self) {
        self.finish(Code::Ok, || Status::ok(""));
    }

    /// Ends the call with an error, such as that of a message that cannot be decoded.
    pub(crate) fn fail(&mut self, status: Status) -> Status {
        self.finish(status.code(), || status::copy(&status));
        status
    }

    fn finish(&mut self, code: Code, status: impl FnOnce() -> Status) {
        if let Some(call) = self.call.take() {
            let call = *call;
            let ongoing = call.ongoing;
            if code == Code::Ok {
                ongoing.rules.record_success();
            }
            call.attempt_span.finish(code);
            ongoing.call_span.finish(code);
            if let Some(observers) = &ongoing.observers {
                observers.ended(&status());
            }
        }
    }
}

impl OpenCall {
    fn poll_data(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        // Asked first: a stream that always has data would never be asked otherwise.
        if let Poll::Ready(ended) = self.ongoing.bounds.poll_end(cx) {
            return Poll::Ready(Some(Err(ended)));
        }
        let Messages::Data(stream) = &mut self.messages else {
            return Poll::Ready(None);
        };
        Poll::Ready(match flow::poll_data(stream, cx) {
            Poll::Ready(Some(Ok(data))) => Some(self.note(&data).map(|()| data)),
            Poll::Ready(Some(Err(error))) => {
                let status = self.sent.as_ref().and_then(|sent| sent.error());
                let status = status.unwrap_or_else(|| status::from_h2(error));
                Some(Err(self.ongoing.bounds.judge(status)))
            }
            Poll::Ready(None) => {
                let ended = Messages::TrailersOnly(HeaderMap::new());
                if let Messages::Data(stream) = std::mem::replace(&mut self.messages, ended) {
                    self.messages = Messages::Trailers(stream);
                }
                None
            }
            Poll::Pending => return Poll::Pending,
        })
    }

    fn poll_trailers(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<HeaderMap, Status>> {
        let stream = match &mut self.messages {
            Messages::Data(stream) | Messages::Trailers(stream) => stream,
            Messages::TrailersOnly(trailers) => return Poll::Ready(Ok(std::mem::take(trailers))),
        };
        let trailers = match stream.poll_trailers(cx) {
            Poll::Ready(Ok(trailers)) => status::from_trailers(trailers.unwrap_or_default()),
            Poll::Ready(Err(error)) => Err(status::from_h2(error)),
            Poll::Pending => Err(ready!(self.ongoing.bounds.poll_end(cx))),
        };
        Poll::Ready(trailers.map_err(|status| self.ongoing.bounds.judge(status)))
    }

    /// Tells observers and metrics of the messages in `data`, and holds them to the limit: whoever reads the body may have none.
    fn note(&mut self, data: &[u8]) -> Result<(), Status> {
        let Ongoing {
            observers,
            max_message_size,
            ..
        } = &self.ongoing;
        let meter = self.attempt_span.meter();
        if observers.is_none() && max_message_size.is_none() && !meter.is_recording() {
            return Ok(());
        }
        let mut noted = Ok(());
        self.scanner.scan(data, |size| match max_message_size {
            Some(limit) if size > *limit => {
                let what = format!("received a message of {size} bytes");
                noted = Err(frame::too_large(&what, frame::MAX_RECEIVE, *limit));
            }
            _ => {
                meter.message_received(size);
                if let Some(observers) = observers {
                    observers.message_received(size);
                }
            }
        });
        noted
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, || {
            Status::cancelled("the call was dropped")
        });
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
        if body.call.is_none() {
            return Poll::Ready(None);
        }
        // tonic's client looks for the status in the trailers.
        let mut trailers = ready!(body.poll_trailers(cx))?;
        body.succeed();
        status::write(&Status::ok(""), &mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
