//! From a call's value to the client's stack, and from its response's body to messages.

use bytes::Bytes;
use http::header;
use tonic::{Response, Status, metadata::MetadataMap};

use super::{options::CallOptions, passage::Requests, plan::Plan, start};
use crate::{
    channel::Channel,
    compression::{Compression, GRPC_ACCEPT_ENCODING, GRPC_ENCODING},
    limits::MAX_RECEIVE_MESSAGE_SIZE,
    method::MethodDescriptor,
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
        let (mut parts, body) = response.into_parts();
        // A compression that this build lacks is none: a message that says it is compressed ends the call.
        let compression = Compression::of(&parts.headers).unwrap_or_default();
        let messages = MessageReader::of_response(body, max_message_size, compression);
        for name in [header::CONTENT_TYPE, GRPC_ENCODING, GRPC_ACCEPT_ENCODING] {
            parts.headers.remove(name);
        }
        Ok((MetadataMap::from_headers(parts.headers), messages))
    }

    pub(super) async fn send_for_one(
        self,
        channel: Channel,
        method: &'static MethodDescriptor,
    ) -> Result<Response<Bytes>, Status> {
        let (mut metadata, mut messages) = self.send(channel, method).await?;
        let message = messages.next().await.transpose()?;
        let second = messages.next().await.transpose()?;
        let Some(message) = message else {
            return Err(Status::internal(
                "the server answered OK, but without a message",
            ));
        };
        if second.is_some() {
            return Err(Status::internal(
                "the server answered with more than one message",
            ));
        }
        // As tonic does: a caller of one message looks for all metadata in one place.
        let mut headers = metadata.into_headers();
        headers.extend(messages.take_trailers());
        metadata = MetadataMap::from_headers(headers);
        Ok(Response::from_parts(
            metadata,
            message,
            http::Extensions::new(),
        ))
    }
}
