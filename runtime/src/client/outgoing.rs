//! From a call's value to the client's stack, and from its response's body to messages.

use bytes::Bytes;
use tonic::{Response, Status, metadata::MetadataMap};

use super::{options::CallOptions, passage::Requests, plan::Plan, start};
use crate::{
    channel::Channel,
    compression::Compression,
    limits::MAX_RECEIVE_MESSAGE_SIZE,
    method::MethodDescriptor,
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
        let plan = Plan::of_method(&channel, method, self.options).await?;
        let max_message_size = plan
            .max_receive_message_size
            .unwrap_or(MAX_RECEIVE_MESSAGE_SIZE);
        let response = start(&channel, plan, self.requests).await?;
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
    ) -> Result<Response<Bytes>, Status> {
        let (headers, mut messages) = self.send(channel, method).await?;
        match messages.one().await {
            Ok(message) => {
                let trailers = MetadataMap::from_headers(messages.take_trailers());
                let metadata = merge(headers, trailers);
                Ok(Response::from_parts(
                    metadata,
                    message,
                    http::Extensions::new(),
                ))
            }
            Err(mut status) => {
                let trailers = std::mem::take(status.metadata_mut());
                *status.metadata_mut() = merge(headers, trailers);
                Err(status)
            }
        }
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
