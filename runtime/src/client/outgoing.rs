//! From a call's value to the client's stack, and from its response's body to messages.

use std::pin::pin;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::{Response, Status, metadata::MetadataMap};

use super::{open_span, options::CallOptions, passage::Requests, plan::Plan, start};
use crate::{
    channel::Channel,
    compression::Compression,
    frame,
    limits::MAX_RECEIVE_MESSAGE_SIZE,
    method::MethodDescriptor,
    metrics::Naming,
    reserved,
    streaming::{MessageReader, Opened},
};

/// What a call sends, and what was set on it.
pub(super) struct Outgoing {
    pub(super) requests: Requests,
    pub(super) options: CallOptions,
}

impl Outgoing {
    /// Sends the call; what comes back is read as frames.
    pub(super) async fn send(self, channel: Channel, method: &'static MethodDescriptor) -> Opened {
        let path = PathAndQuery::from_static(method.path());
        let span = open_span(&channel, &path, Naming::Registered);
        let plan = Plan::of_method(&channel, path, method, self.options).await;
        let max_message_size = plan
            .max_receive_message_size
            .unwrap_or(MAX_RECEIVE_MESSAGE_SIZE);
        let response = pin!(start(&channel, span, plan, self.requests)).await?;
        let (parts, body) = response.into_parts();
        // A compression that this build lacks is none: a message that says it is compressed ends the call.
        let compression = Compression::of(&parts.headers).unwrap_or_default();
        let messages = MessageReader::of_response(body, max_message_size, compression);
        let metadata = reserved::metadata_of(parts.headers);
        Ok((MetadataMap::from_headers(metadata), messages))
    }

    /// Sends the call. Whoever awaits one message looks for all metadata in one place, as with tonic: that of the headers
    /// and of the trailers, in the response or in the status.
    pub(super) async fn send_for_one(
        self,
        channel: Channel,
        method: &'static MethodDescriptor,
    ) -> Result<Received, Status> {
        let (headers, mut messages) = pin!(self.send(channel, method)).await?;
        match messages.one().await {
            Ok(message) => {
                let trailers = MetadataMap::from_headers(messages.take_trailers());
                Ok(Received {
                    metadata: merge(headers, trailers),
                    message,
                    messages,
                })
            }
            Err(mut status) => {
                let trailers = std::mem::take(status.metadata_mut());
                *status.metadata_mut() = merge(headers, trailers);
                Err(status)
            }
        }
    }
}

/// The response of a call that has one, whose end its decoding decides.
pub(super) struct Received {
    metadata: MetadataMap,
    message: Bytes,
    messages: MessageReader,
}

impl Received {
    pub(super) fn decode<M: Message + Default>(mut self) -> Result<Response<M>, Status> {
        let message = frame::decode(self.message).map_err(|status| self.messages.fail(status))?;
        self.messages.succeed();
        Ok(Response::from_parts(
            self.metadata,
            message,
            http::Extensions::new(),
        ))
    }
}

/// All of `headers`, then all of `trailers`: a key that is in both keeps the values of both.
fn merge(headers: MetadataMap, trailers: MetadataMap) -> MetadataMap {
    let mut merged = headers.into_headers();
    for (name, value) in trailers.as_ref() {
        merged.append(name, value.clone());
    }
    MetadataMap::from_headers(merged)
}
