//! What awaiting a call polls: the runtime's own future, boxed once, and the decoding of what it gives.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use prost::Message;
use tonic::{Response, Status};

use super::outgoing::Received;
use crate::streaming::{Opened, Streaming};

/// A call under way; it gives its one response.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<Res> {
    pub(super) sending: Pin<Box<dyn Future<Output = Result<Received, Status>> + Send>>,
    pub(super) message: PhantomData<fn() -> Res>,
}

impl<Res: Message + Default> Future for ResponseFuture<Res> {
    type Output = Result<Response<Res>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let received = ready!(self.sending.as_mut().poll(cx))?;
        Poll::Ready(received.decode())
    }
}

impl<Res> fmt::Debug for ResponseFuture<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// A call under way; it gives its stream of responses.
#[must_use = "futures do nothing unless polled"]
pub struct StreamingFuture<Res> {
    pub(super) sending: Pin<Box<dyn Future<Output = Opened> + Send>>,
    pub(super) message: PhantomData<fn() -> Res>,
}

impl<Res> Future for StreamingFuture<Res> {
    type Output = Result<Response<Streaming<Res>>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (metadata, messages) = ready!(self.sending.as_mut().poll(cx))?;
        Poll::Ready(Ok(Response::from_parts(
            metadata,
            Streaming::new(messages),
            http::Extensions::new(),
        )))
    }
}

impl<Res> fmt::Debug for StreamingFuture<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingFuture").finish_non_exhaustive()
    }
}
