//! The channel as a tower service, for clients that tonic generated.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header, uri::PathAndQuery};
use http_body::Body;
use tokio_stream::Stream;
use tonic::Status;

use super::{ResponseBody, open_span, passage::Requests, plan::Plan, start};
use crate::{channel::Channel, frame::MAX_DATA_LEN, metrics::Naming};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Clients that tonic generated run on a channel, with its service config, deadlines and traces; a `grpc-timeout` that they
/// set is the call's timeout.
impl<B> tower_service::Service<Request<B>> for Channel
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let channel = self.clone();
        let (parts, body) = request.into_parts();
        let mut metadata = parts.headers;
        metadata.remove(header::CONTENT_TYPE);
        metadata.remove("grpc-previous-rpc-attempts");
        let path = parts.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let requests = Requests::Data(Box::pin(DataOf(Box::pin(body))));
        Box::pin(async move {
            let span = open_span(&channel, &path, Naming::Generic);
            let plan = Plan::of_request(&channel, path, metadata).await;
            start(&channel, span, plan, requests).await
        })
    }
}

/// The DATA of a body; trailers have no meaning in a request.
struct DataOf<B>(Pin<Box<B>>);

impl<B> Stream for DataOf<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = match ready!(self.0.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Status::from_error(error.into()))));
                }
                None => return Poll::Ready(None),
            };
            // Empty DATA says nothing, and h2 has no capacity to wait for.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Poll::Ready(Some(check_len(data)));
            }
        }
    }
}

/// What h2 refuses to send would leave the call waiting.
fn check_len(data: Bytes) -> Result<Bytes, Status> {
    let len = data.len();
    if len > MAX_DATA_LEN {
        let what = format!("the client sent {len} bytes at once; HTTP/2 takes less than 2 GiB");
        return Err(Status::resource_exhausted(what));
    }
    Ok(data)
}
