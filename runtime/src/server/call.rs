//! A call as it reaches its service, and the four ways to hand it to a handler.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
};

use bytes::Bytes;
use http::HeaderMap;
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    admission::{Measured, Uploading},
    body::{Reply, ReplyBody, RequestBody, Source},
    encoding::Negotiated,
    head::Terms,
    options::Options,
    pieces::Batches,
    protection::{Protection, Room, Unsent},
};
use crate::{
    authorization::Authorization,
    compression::Compression,
    deadline::Deadline,
    frame,
    method::{Method, MethodDescriptor},
    reserved,
    streaming::{MessageReader, Streaming},
};

/// What a handler may stream: messages, or the status that the call ends with.
///
/// Every such stream that can be sent and owns what it yields is one. A handler names none: it answers
/// `Result<Response<impl MessageStream<T>>, Status>`, whichever stream it makes.
pub trait MessageStream<T>: Stream<Item = Result<T, Status>> + Send + 'static {}

impl<T, S: Stream<Item = Result<T, Status>> + Send + 'static> MessageStream<T> for S {}

/// A call as it reaches its [`Service`](super::Service).
///
/// Generated code looks at its [`path`](Self::path) and hands it, by one of four methods, to a handler.
pub struct Call {
    /// On the heap as a whole: each future that a call is handed through has room for it.
    pub(super) parts: Box<CallParts>,
}

/// What is known of a call.
pub(super) struct CallParts {
    pub(super) head: http::request::Parts,
    pub(super) body: RequestBody,
    pub(super) deadline: Option<Deadline>,
    pub(super) compression: Compression,
    /// How its responses may be encoded.
    pub(super) negotiated: Negotiated,
    /// Whether what is declared of its method was asked of its caller, or need not be.
    pub(super) is_authorized: bool,
    /// Where its messages cannot be decompressed here.
    pub(super) unreadable: Option<Box<Reply>>,
    /// Where no service is to see it.
    pub(super) early_reply: Option<Box<Reply>>,
    /// Where an adaptive limit measures it.
    pub(super) measured: Option<Arc<Measured>>,
    /// Whether its headers name a trace.
    pub(super) is_traced: bool,
    /// What of its connection's responses has not left, where that is bounded.
    pub(super) unsent: Option<Arc<Unsent>>,
}

impl Call {
    /// Of a connection with this `protection`.
    pub(super) fn new(
        request: http::Request<Source>,
        options: &Options,
        protection: Option<&Protection>,
    ) -> Self {
        let (mut head, body) = request.into_parts();
        let Terms {
            deadline,
            compression,
            unreadable,
            early_reply,
            is_traced,
        } = Terms::take(&mut head.headers);
        let deadline = deadline.or_else(|| options.default_deadline(head.uri.path()));
        if let Some(deadline) = deadline {
            head.extensions.insert(deadline);
        }
        let negotiated = options.compression.negotiate(&head.headers);
        Self {
            parts: Box::new(CallParts {
                head,
                body: RequestBody::new(body, options.max_receive_message_size),
                deadline,
                compression,
                negotiated,
                is_authorized: options.is_unrestricted(),
                unreadable,
                early_reply,
                measured: None,
                is_traced,
                unsent: protection.map(|protection| Arc::clone(protection.unsent())),
            }),
        }
    }

    /// The HTTP/2 path (`/helloworld.Greeter/SayHello`).
    pub fn path(&self) -> &str {
        self.parts.head.uri.path()
    }

    /// Answers a method with one request and one response.
    pub async fn unary<Req, Res, F>(
        mut self,
        method: &Method<Req, Res>,
        handler: impl FnOnce(Request<Req>) -> F,
    ) -> Reply
    where
        Req: Message + Default,
        Res: Message,
        F: Future<Output = Result<Response<Res>, Status>>,
    {
        if let Some(refused) = self.check(method.descriptor()) {
            return refused;
        }
        let negotiated = self.parts.negotiated;
        let uploading = self.parts.measured.take().map(Uploading::of);
        let unsent = self.parts.unsent.take();
        // What is read once its message is there stays on the heap meanwhile.
        let parts = self.parts;
        let received = receive_one(parts.body, parts.compression).await;
        room(unsent).await;
        drop(uploading);
        let request = match received.and_then(frame::decode) {
            Ok(message) => request(parts.head, message),
            Err(status) => return Reply::status(status),
        };
        one_message(handler(request).await, negotiated)
    }

    /// Answers a method with one request and many responses.
    pub async fn server_streaming<Req, Res, F, S>(
        mut self,
        method: &Method<Req, Res>,
        handler: impl FnOnce(Request<Req>) -> F,
    ) -> Reply
    where
        Req: Message + Default,
        Res: Message + 'static,
        F: Future<Output = Result<Response<S>, Status>>,
        S: MessageStream<Res>,
    {
        if let Some(refused) = self.check(method.descriptor()) {
            return refused;
        }
        self.has_stream();
        let negotiated = self.parts.negotiated;
        let unsent = self.parts.unsent.take();
        // What is read once its message is there stays on the heap meanwhile.
        let parts = self.parts;
        let received = receive_one(parts.body, parts.compression).await;
        room(unsent).await;
        let request = match received.and_then(frame::decode) {
            Ok(message) => request(parts.head, message),
            Err(status) => return Reply::status(status),
        };
        messages(handler(request).await, negotiated)
    }

    /// Answers a method with many requests and one response.
    pub async fn client_streaming<Req, Res, F>(
        mut self,
        method: &Method<Req, Res>,
        handler: impl FnOnce(Request<Streaming<Req>>) -> F,
    ) -> Reply
    where
        Res: Message,
        F: Future<Output = Result<Response<Res>, Status>>,
    {
        if let Some(refused) = self.check(method.descriptor()) {
            return refused;
        }
        room(self.parts.unsent.take()).await;
        let negotiated = self.parts.negotiated;
        one_message(handler(self.receive_many()).await, negotiated)
    }

    /// Answers a method with many requests and many responses.
    pub async fn bidi_streaming<Req, Res, F, S>(
        mut self,
        method: &Method<Req, Res>,
        handler: impl FnOnce(Request<Streaming<Req>>) -> F,
    ) -> Reply
    where
        Res: Message + 'static,
        F: Future<Output = Result<Response<S>, Status>>,
        S: MessageStream<Res>,
    {
        if let Some(refused) = self.check(method.descriptor()) {
            return refused;
        }
        room(self.parts.unsent.take()).await;
        let negotiated = self.parts.negotiated;
        messages(handler(self.receive_many()).await, negotiated)
    }

    /// Answers a method that the service does not have, with UNIMPLEMENTED.
    pub fn unimplemented(&self) -> Reply {
        Reply::status(self.no_such_method())
    }

    pub(super) fn no_such_method(&self) -> Status {
        Status::unimplemented(format!("there is no method {}", self.path()))
    }

    /// Why no handler of `method` is to see this call, where there is a reason.
    fn check(&mut self, method: &MethodDescriptor) -> Option<Reply> {
        if let Err(status) = self.check_declaration(method) {
            return Some(Reply::status(status));
        }
        self.parts.unreadable.take().map(|reply| *reply)
    }

    /// Refuses a call of a method that declares who may call it, where its service did not hand that on by
    /// [`METHODS`](super::Service::METHODS), so that nobody was asked.
    fn check_declaration(&self, method: &MethodDescriptor) -> Result<(), Status> {
        match method.authorization() {
            None | Some(Authorization::Public) => Ok(()),
            Some(_) if self.parts.is_authorized => Ok(()),
            Some(Authorization::Authenticated | Authorization::Required(_)) => {
                Err(Status::permission_denied(
                    "who may call this method is declared, and its service does not hand it on to the server",
                ))
            }
        }
    }

    /// Says that how long the call takes is nothing to judge the server by.
    fn has_stream(&mut self) {
        if let Some(measured) = self.parts.measured.take() {
            measured.leave();
        }
    }

    fn receive_many<Req>(mut self) -> Request<Streaming<Req>> {
        self.has_stream();
        let parts = *self.parts;
        let messages = MessageReader::of_request(parts.body, parts.compression);
        request(parts.head, Streaming::new(messages))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Waits while too much of a connection's responses has not left: a handler would make more of it.
async fn room(unsent: Option<Arc<Unsent>>) {
    let mut room = Room::of(unsent.as_ref());
    poll_fn(|cx| room.poll(cx)).await;
}

async fn receive_one(body: RequestBody, compression: Compression) -> Result<Bytes, Status> {
    MessageReader::of_request(body, compression).one().await
}

/// The request with this `head`.
fn request<T>(head: http::request::Parts, message: T) -> Request<T> {
    let metadata = MetadataMap::from_headers(head.headers);
    Request::from_parts(metadata, head.extensions, message)
}

fn one_message<Res: Message>(
    response: Result<Response<Res>, Status>,
    negotiated: Negotiated,
) -> Reply {
    let encoded = response.and_then(|response| {
        let (metadata, message, extensions) = response.into_parts();
        let mut headers = headers(metadata);
        let encoder = negotiated.encoder(&extensions);
        let frame = encoder.encode_one(&message, &mut headers)?;
        Ok((headers, frame))
    });
    match encoded {
        Ok((headers, frame)) => Reply {
            headers,
            body: ReplyBody::Message(frame),
        },
        Err(status) => Reply::status(status),
    }
}

fn messages<Res: Message + 'static>(
    response: Result<Response<impl MessageStream<Res>>, Status>,
    negotiated: Negotiated,
) -> Reply {
    match response {
        Ok(response) => {
            let (metadata, messages, extensions) = response.into_parts();
            let encoder = negotiated.encoder(&extensions);
            let mut headers = headers(metadata);
            encoder.write_headers(&mut headers);
            Reply {
                headers,
                body: ReplyBody::Messages(Box::pin(Batches::new(messages, encoder))),
            }
        }
        Err(status) => Reply::status(status),
    }
}

fn headers(metadata: MetadataMap) -> HeaderMap {
    reserved::strip(metadata.into_headers())
}
