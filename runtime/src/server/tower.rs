//! Services that tonic generated, on this server.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use tonic::{
    Status, body::Body, metadata::MetadataMap, server::NamedService,
    service::interceptor::InterceptedService,
};

use super::{
    Call, Service,
    body::{Reply, ReplyBody},
    call::CallParts,
    pieces::Piece,
};
use crate::{
    compression::GRPC_ACCEPT_ENCODING,
    frame::{self, FrameScanner},
    method::MethodDescriptor,
    reserved, status,
};

#[cfg(feature = "validation")]
mod validated;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers `call` by a service that tonic generated.
pub async fn serve_tower<S, B>(service: &S, call: Call) -> Reply
where
    S: tower_service::Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let max_message_size = call.parts.negotiated.max_message_size();
    let request = match request(call) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let mut service = service.clone();
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    let response = response.map(Body::new);
    let (mut parts, body) = response.into_parts();
    reserved::strip_of_http(&mut parts.headers);
    if body.is_end_stream() && status::is_stated(&parts.headers) {
        // It refuses requests by itself for how they are compressed, and says how they may be.
        let accepted = parts.headers.remove(GRPC_ACCEPT_ENCODING);
        return match status::from_trailers(parts.headers) {
            Ok(headers) => Reply {
                headers,
                body: ReplyBody::TrailersOnly(Status::ok("")),
            },
            Err(status) => Reply {
                headers: HeaderMap::from_iter(accepted.map(|names| (GRPC_ACCEPT_ENCODING, names))),
                ..Reply::status(status)
            },
        };
    }
    Reply {
        headers: parts.headers,
        body: ReplyBody::Http(match max_message_size {
            usize::MAX => body,
            max_message_size => Body::new(Limited {
                body,
                scanner: FrameScanner::default(),
                max_message_size,
            }),
        }),
    }
}

/// The request of a call, for tonic to decode.
fn request(call: Call) -> Result<Request<Body>, Box<Reply>> {
    #[cfg(feature = "validation")]
    if call.parts.body.has_rules() {
        return validated::request(*call.parts);
    }
    let CallParts { head, body, .. } = *call.parts;
    Ok(Request::from_parts(head, Body::new(body)))
}

/// A response that ends at a message over the limit.
struct Limited {
    body: Body,
    scanner: FrameScanner,
    max_message_size: usize,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let mut largest = 0;
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.scanner.scan(data, |size| largest = largest.max(size));
        }
        if largest > this.max_message_size {
            let error = frame::too_large_to_send(largest, this.max_message_size);
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(frame)
    }
}

/// What tonic's `GreeterServer::with_interceptor` makes.
impl<S, I, B> Service for InterceptedService<S, I>
where
    S: NamedService + Service,
    I: Send + Sync + 'static,
    Self: tower_service::Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    <Self as tower_service::Service<Request<Body>>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    const NAME: &'static str = <S as NamedService>::NAME;
    const FILE_DESCRIPTOR_SET: &'static [u8] = S::FILE_DESCRIPTOR_SET;
    const METHODS: &'static [&'static MethodDescriptor] = S::METHODS;

    async fn call(&self, call: Call) -> Reply {
        serve_tower(self, call).await
    }
}

pub(super) fn poll_piece(body: &mut Body, cx: &mut TaskContext<'_>) -> Poll<Piece> {
    let frame = match ready!(Pin::new(body).poll_frame(cx)) {
        Some(Ok(frame)) => frame,
        Some(Err(status)) => return Poll::Ready(Piece::End(status, HeaderMap::new())),
        None => {
            return Poll::Ready(Piece::End(
                status::missing(MetadataMap::new()),
                HeaderMap::new(),
            ));
        }
    };
    Poll::Ready(match frame.into_data() {
        Ok(data) => Piece::Data(data),
        Err(frame) => match status::from_trailers(frame.into_trailers().unwrap_or_default()) {
            Ok(mut trailers) => {
                reserved::strip_of_http(&mut trailers);
                Piece::End(Status::ok(""), trailers)
            }
            Err(status) => Piece::End(status, HeaderMap::new()),
        },
    })
}
