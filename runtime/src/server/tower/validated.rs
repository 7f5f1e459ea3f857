//! Requests that are held to rules before tonic decodes them.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use tonic::{Status, body::Body};

use crate::{
    compression::GRPC_ENCODING,
    frame,
    server::{Reply, call::CallParts},
    streaming::MessageReader,
};

/// The request of a call, with a body that ends with an error at the first message that breaks a rule.
///
/// Where its messages cannot be decompressed here, they cannot be held to rules, whatever tonic could read.
pub(super) fn request(call: CallParts) -> Result<Request<Body>, Box<Reply>> {
    if let Some(refused) = call.unreadable {
        return Err(refused);
    }
    let mut head = call.head;
    // Messages are handed on as they were held to the rules: decompressed.
    head.headers.remove(GRPC_ENCODING);
    let messages = MessageReader::of_request(call.body, call.compression);
    Ok(Request::from_parts(head, Body::new(Validated(messages))))
}

struct Validated(MessageReader);

impl http_body::Body for Validated {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let message = ready!(self.get_mut().0.poll_next(cx));
        let frame = message.map(|message| frame::of_message(&message?).map(Frame::data));
        Poll::Ready(frame)
    }
}
