//! From a call's value to the client's stack, and from its response's body to messages.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header, uri::PathAndQuery};
use tonic::{Response, Status, metadata::MetadataMap};

use super::{
    CallHead,
    replay::{FrameSource, Payload, ReplayBuffer},
    start,
};
use crate::{
    channel::Channel,
    deadline::Deadline,
    method::MethodDescriptor,
    policy::AttemptPolicy,
    streaming::{MessageReader, Opened},
};

/// What a call sends, and what was set on it.
pub(super) struct Outgoing {
    pub(super) requests: Requests,
    pub(super) metadata: HeaderMap,
    pub(super) bound: Bound,
    /// What the call itself says of retries and hedges.
    pub(super) attempts: Option<AttemptPolicy>,
}

/// What bounds the call, beside the call being served.
pub(super) enum Bound {
    /// The method's own timeout, from when the call is sent.
    OfMethod,
    By(Deadline),
    None,
}

pub(super) enum Requests {
    One(Bytes),
    Many(FrameSource),
}

impl Outgoing {
    /// Sends the call; what comes back is read as frames.
    pub(super) async fn send(self, channel: Channel, method: &'static MethodDescriptor) -> Opened {
        let active = channel.active_config();
        let config = active.config.method(method.path());
        let configured = config
            .map(|config| config.attempts)
            .filter(|attempts| *attempts != AttemptPolicy::Single);
        let attempts = self.attempts.or(configured).unwrap_or(method.attempts());
        let payload = match self.requests {
            Requests::One(frame) => Payload::Message(frame),
            Requests::Many(frames) => {
                let retried = !matches!(attempts, AttemptPolicy::Single);
                let limit = retried.then(|| channel.retry_limits().max_replay_buffer_size);
                Payload::Frames(Arc::new(ReplayBuffer::new(frames, limit)))
            }
        };
        let configured = config.and_then(|config| config.timeout);
        let asked = match self.bound {
            Bound::OfMethod => configured.or(method.timeout()).map(Deadline::after),
            Bound::By(deadline) => Some(deadline),
            Bound::None => None,
        };
        let deadline = Deadline::earliest(asked, configured.map(Deadline::after));
        let head = CallHead {
            path: PathAndQuery::from_static(method.path()),
            metadata: self.metadata,
            deadline,
            attempts,
            throttle: active.throttle.clone(),
        };
        let (parts, body) = start(&channel, head, payload).await?.into_parts();
        Ok((
            response_metadata(parts.headers),
            MessageReader::of_response(body, channel.max_receive_message_size()),
        ))
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

/// Response headers without those of the protocol.
fn response_metadata(mut headers: HeaderMap) -> MetadataMap {
    headers.remove(header::CONTENT_TYPE);
    MetadataMap::from_headers(headers)
}
