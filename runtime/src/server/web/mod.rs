//! What of a server is HTTP rather than gRPC: layers around calls, a fallback beside them, and the server as a service of
//! HTTP requests, to be mounted in another.

mod exchange;
#[cfg(feature = "http1")]
pub(super) mod http1;
mod layers;
mod origin;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use tonic::{Code, Status, body::Body};
use tower_service::Service;
use tracing::Instrument as _;

use self::origin::Inside;
pub(super) use self::{exchange::serve, layers::Layers, origin::Origin};
use super::{
    body::Source, connections::Shared, respond::Respond, router::is_asked_of_any_server, stream,
};
use crate::{
    limits::{self, CONTENT_TYPE},
    status,
};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A server as a [`tower_service::Service`] of HTTP requests: what [`Server::into_service`] makes, and what a layer of
/// [`Server::layer`] has inside.
///
/// It answers requests whatever their body is, and never fails. Clones are the same server.
///
/// [`Server::into_service`]: super::Server::into_service
/// [`Server::layer`]: super::Server::layer
#[derive(Clone)]
pub struct HttpService(Arc<dyn Answer>);

/// A service that is always ready, without its types.
trait Answer: Send + Sync {
    fn answer(&self, request: Request<Body>) -> HttpFuture;
}

/// The response of an [`HttpService`], being made. Dropping it cancels the call.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for HttpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = HttpFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> HttpFuture {
        self.0.answer(request.map(Body::new))
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

/// Any service: one clone of it answers one request.
struct Cloned<S>(S);

impl<S, B> Answer for Cloned<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn answer(&self, request: Request<Body>) -> HttpFuture {
        let mut service = self.0.clone();
        let is_grpc = limits::is_grpc(request.headers());
        Box::pin(async move {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            if let Err(error) = ready.map_err(Into::into) {
                return Ok(failed(error, is_grpc));
            }
            Ok(match service.call(request).await {
                Ok(response) => response.map(Body::new),
                Err(error) => failed(error.into(), is_grpc),
            })
        })
    }
}

/// Answers `request` by `service`; where it panics, this request alone fails.
async fn answer(service: &HttpService, request: Request<Body>) -> Response<Body> {
    let is_grpc = limits::is_grpc(request.headers());
    // It may panic where it is called, too.
    let mut answer = pin!(async { service.0.answer(request).await });
    let answered = poll_fn(|cx| {
        // What a panic leaves half done is dropped with the request.
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    });
    match answered.await {
        Some(Ok(response)) => response,
        None => {
            let status = panicked();
            match is_grpc {
                true => grpc(&status),
                false => plain(StatusCode::INTERNAL_SERVER_ERROR),
            }
        }
    }
}

/// The status of a call of which a layer, or a body that it made, panicked.
fn panicked() -> Status {
    tracing::error!(target: "wireloom", "an HTTP service panicked");
    Status::internal("an HTTP layer panicked")
}

/// The answer of a service that fails: the status that it fails with, if it is one.
fn failed(error: BoxError, is_grpc: bool) -> Response<Body> {
    tracing::debug!(target: "wireloom", error = %error, "an HTTP service failed");
    if !is_grpc {
        return plain(StatusCode::INTERNAL_SERVER_ERROR);
    }
    grpc(&match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => Status::new(Code::Internal, format!("an HTTP layer failed: {error}")),
    })
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn grpc(status: &Status) -> Response<Body> {
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, CONTENT_TYPE)]);
    status::write(status, &mut headers);
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    response
}

/// The innermost service: calls of gRPC, and whatever answers the rest.
struct Innermost {
    shared: Arc<Shared>,
    fallback: Option<HttpService>,
}

impl Answer for Innermost {
    fn answer(&self, mut request: Request<Body>) -> HttpFuture {
        if let Some(fallback) = &self.fallback
            && !limits::is_grpc(request.headers())
        {
            return fallback.0.answer(request);
        }
        if request.version() < Version::HTTP_2 {
            // As grpc-go's handler has it: HTTP/1.1 has no reliable trailers.
            return Box::pin(async { Ok(plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED)) });
        }
        let inside = Origin::take(&mut request);
        let origin = inside.as_ref().map(Inside::origin);
        let ends = match origin {
            Some(origin) => origin.ends.clone(),
            None => self.shared.phases.ends(),
        };
        let protection = origin.map(|origin| Arc::clone(&origin.protection));
        let is_watcher = is_asked_of_any_server(request.uri().path());
        let cut_off = ends.of_call(is_watcher).clone();
        let (shared, request) = (Arc::clone(&self.shared), request.map(Source::Http));
        let calls = self.shared.calls.clone();
        let (respond, response) = Respond::http();
        let call = stream::serve(shared, request, respond, cut_off, protection).in_current_span();
        Box::pin(async move {
            // A task of its own, so that it ends as any call does: by its deadline, its caller, the shutdown.
            match is_watcher || inside.is_some() {
                true => drop(tokio::spawn(Box::pin(call))),
                // Where it comes from nobody counts it among the calls under way.
                false => drop(calls.spawn(Box::pin(call))),
            }
            let lost = |_| grpc(&Status::internal("the call was lost"));
            let response = response.await.unwrap_or_else(lost);
            drop(inside);
            Ok(response)
        })
    }
}
