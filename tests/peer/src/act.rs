//! What the peer does with a request, as data.

use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What the peer does with one request: steps, one after the other.
///
/// Whatever it does, it reads the request's body as it comes. An act whose steps do not end the response leaves it open,
/// until the caller resets the stream or the connection ends.
#[derive(Clone, Debug, Default)]
pub struct Act {
    /// What it does, in order; it stops where the caller has reset the stream. What follows the response's end is about
    /// the connection.
    pub steps: Vec<Step>,
}

/// One step of an [`Act`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Waits until so many whole messages have come, or the request has ended.
    ReadMessages(usize),
    /// Waits until the request has ended.
    ReadAll,
    /// From now on gives the caller no more room to send: what it has sent uses up its windows.
    HoldWindow,
    /// Waits so many milliseconds.
    Wait(u64),
    /// Sends response headers with these fields, and nothing else but the HTTP status.
    Headers {
        /// The HTTP status.
        http_status: u16,
        /// The fields, all of them.
        fields: HeaderMap,
        /// Whether they end the stream, as those of a Trailers-Only response do.
        end_stream: bool,
    },
    /// Sends these bytes as DATA.
    Data(Vec<u8>),
    /// Ends the response without trailers.
    End,
    /// Ends the response with these trailers.
    Trailers(HeaderMap),
    /// Resets the stream.
    Reset(Reason),
    /// Sends a GOAWAY, once what was sent before is on the wire, and goes on as if nothing had been said.
    GoAway(Last, Reason),
    /// Writes a frame of this type, with these flags and payload, on the request's stream.
    Frame(u8, u8, Vec<u8>),
    /// Closes the connection, once what was sent before is on the wire.
    Close,
}

/// The last stream that a GOAWAY lets go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// No stream at all.
    Zero,
    /// The stream before that of the request.
    Below,
    /// That of the request.
    This,
    /// A stream above any that can be: new ones may be on the way.
    Max,
    /// The stream with this id.
    Id(u32),
}

impl Last {
    /// The id, for a GOAWAY sent by the request on `stream`.
    pub(crate) fn id(self, stream: u32) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Below => stream.saturating_sub(2),
            Self::This => stream,
            Self::Max => u32::MAX >> 1,
            Self::Id(id) => id,
        }
    }
}

/// Whole acts.
impl Act {
    /// Does nothing, and never answers.
    pub fn stall() -> Self {
        Self::default()
    }

    /// Reads the whole request; more steps follow.
    pub fn read() -> Self {
        Self::default().step(Step::ReadAll)
    }

    /// Reads so many messages; more steps follow.
    pub fn read_messages(count: usize) -> Self {
        Self::default().step(Step::ReadMessages(count))
    }

    /// Reads the request, and fails it with nothing but the status.
    pub fn fail(code: impl Into<i32>) -> Self {
        Self::read().trailers_only(code, &[])
    }

    /// Reads the request, and fails it with nothing but the status and this `grpc-retry-pushback-ms`.
    pub fn push_back(code: impl Into<i32>, milliseconds: &str) -> Self {
        Self::read().trailers_only(code, &[("grpc-retry-pushback-ms", milliseconds)])
    }

    /// Reads the request, and resets its stream.
    pub fn reset_after_reading(reason: Reason) -> Self {
        Self::read().reset(reason)
    }

    /// Resets the stream without a look at it.
    pub fn refuse_stream() -> Self {
        Self::default().reset(Reason::REFUSED_STREAM)
    }
}

/// Steps that follow.
impl Act {
    /// One more step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Waits so many milliseconds.
    pub fn wait(self, milliseconds: u64) -> Self {
        self.step(Step::Wait(milliseconds))
    }

    /// Sends the response headers of a gRPC server.
    pub fn headers(self) -> Self {
        self.headers_with(&[])
    }

    /// Sends the response headers of a gRPC server, and these fields.
    pub fn headers_with(self, more: &[(&str, &str)]) -> Self {
        self.step(Step::Headers {
            http_status: 200,
            fields: with_content_type(fields(more)),
            end_stream: false,
        })
    }

    /// Sends a message that is a text.
    pub fn message(self, message: &str) -> Self {
        let message = text(message);
        let mut frame = vec![0];
        frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
        frame.extend_from_slice(&message);
        self.step(Step::Data(frame))
    }

    /// Ends the response with a status in its trailers.
    pub fn trailers(self, code: impl Into<i32>) -> Self {
        self.trailers_with(code, &[])
    }

    /// Ends the response with a status and these fields in its trailers.
    pub fn trailers_with(self, code: impl Into<i32>, more: &[(&str, &str)]) -> Self {
        self.step(Step::Trailers(with_status(fields(more), code.into())))
    }

    /// Answers with nothing but a status and these fields.
    pub fn trailers_only(self, code: impl Into<i32>, more: &[(&str, &str)]) -> Self {
        self.step(Step::Headers {
            http_status: 200,
            fields: with_content_type(with_status(fields(more), code.into())),
            end_stream: true,
        })
    }

    /// Answers with headers, the message "answer" and OK.
    pub fn answer(self) -> Self {
        self.headers().message("answer").trailers(0)
    }

    /// Resets the stream.
    pub fn reset(self, reason: Reason) -> Self {
        self.step(Step::Reset(reason))
    }

    /// Sends a GOAWAY without an error; streams up to `last` may go on.
    pub fn go_away(self, last: Last) -> Self {
        self.step(Step::GoAway(last, Reason::NO_ERROR))
    }

    /// Closes the connection.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }
}

/// Header fields, in order, repeated names included.
///
/// # Panics
///
/// On what no HTTP header can be.
pub fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        map.append(
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        );
    }
    map
}

/// A text, encoded as the message `google.protobuf.StringValue`.
pub fn text(text: &str) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut message = vec![0x0a];
    let mut len = text.len();
    while len >= 0x80 {
        message.push(len as u8 | 0x80);
        len >>= 7;
    }
    message.push(len as u8);
    message.extend_from_slice(text.as_bytes());
    message
}

fn with_content_type(mut fields: HeaderMap) -> HeaderMap {
    let grpc = HeaderValue::from_static("application/grpc");
    fields.insert(http::header::CONTENT_TYPE, grpc);
    fields
}

fn with_status(mut fields: HeaderMap, code: i32) -> HeaderMap {
    fields.insert("grpc-status", HeaderValue::from(code));
    fields
}
