//! What a server is told of HTTP.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tonic::{Status, body::Body};
use tower_layer::Layer;
use tower_service::Service;

use super::{BoxError, Cloned, HttpService, Innermost};
use crate::server::{Server, connections::Shared, settings};
#[cfg(feature = "tls")]
use crate::tls::Alpn;

/// The layers around a server's calls, and what answers the rest.
#[derive(Clone, Default)]
pub(in crate::server) struct Layers {
    /// The first is the outermost.
    layers: Vec<Arc<dyn Fn(HttpService) -> HttpService + Send + Sync>>,
    fallback: Option<HttpService>,
    #[cfg(feature = "http1")]
    accepts_http1: bool,
}

impl Layers {
    /// The service of all requests, unless calls need none.
    pub(in crate::server) fn around(&self, shared: &Arc<Shared>) -> Option<HttpService> {
        let is_needed = !self.layers.is_empty() || self.fallback.is_some();
        is_needed.then(|| self.service(Arc::clone(shared)))
    }

    /// What may be spoken by TLS.
    #[cfg(feature = "tls")]
    pub(in crate::server) fn alpn(&self) -> Alpn {
        #[cfg(feature = "http1")]
        if self.accepts_http1 {
            return Alpn::Http2OrHttp1;
        }
        Alpn::Http2
    }

    /// The service of requests over HTTP/1.1, where they are accepted.
    #[cfg(feature = "http1")]
    pub(in crate::server) fn over_http1(&self, shared: &Arc<Shared>) -> Option<HttpService> {
        let shared = || Arc::clone(shared);
        self.accepts_http1.then(|| self.service(shared()))
    }

    fn service(&self, shared: Arc<Shared>) -> HttpService {
        let innermost = Innermost {
            shared,
            fallback: self.fallback.clone(),
        };
        let innermost = HttpService(Arc::new(innermost));
        let inwards = self.layers.iter().rev();
        inwards.fold(innermost, |inner, layer| layer(inner))
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("layers", &self.layers.len())
            .field("fallback", &self.fallback)
            .finish()
    }
}

impl Server {
    /// Puts a layer of [tower's](https://docs.rs/tower-layer) around all requests, outside of calls' spans, deadlines and
    /// interceptors. The one that is added first is the outermost.
    ///
    /// It sees `http::Request<Body>` and `http::Response<Body>`, of calls as of what [`fallback`](Self::fallback) answers,
    /// with the peer in the request's extensions. A layer that fails ends a call with the [`Status`] that it
    /// fails with, or else with INTERNAL, as does one that panics; another request, with HTTP status 500. What is not layered pays nothing.
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<HttpService> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let layer = move |inner| HttpService(Arc::new(Cloned(layer.layer(inner))));
        self.options.web.layers.push(Arc::new(layer));
        self
    }

    /// Answers what is not gRPC by `service`, such as axum's `Router`: requests with another content type than
    /// `application/grpc`. Without it they get HTTP status 405 or 415.
    pub fn fallback<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.options.web.fallback = Some(HttpService(Arc::new(Cloned(service))));
        self
    }

    /// Speaks HTTP/1.1 too, on the same port: plain, and by TLS with clients that do not offer HTTP/2 by ALPN. For browsers and
    /// such tools as curl, which ask for what [`fallback`](Self::fallback) answers; a call gets HTTP status 505. The default
    /// is HTTP/2 alone. With the feature `http1`.
    #[cfg(feature = "http1")]
    pub fn accept_http1(mut self) -> Self {
        self.options.web.accepts_http1 = true;
        self
    }

    /// The server as a service of HTTP requests, to be mounted in axum's `Router` or in another server of HTTP/2.
    ///
    /// Calls have their deadlines, spans and interceptors, layers and the fallback are in force, and a response that is
    /// dropped, or its body, cancels its call. What concerns connections is the other server's: TLS, limits of HTTP/2,
    /// shutdown, and the [`PeerAddr`](super::super::PeerAddr) of calls.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve), but for what concerns listeners.
    pub fn into_service(self) -> Result<HttpService, Status> {
        settings::log(&self.options);
        let layers = self.options.web.clone();
        Ok(layers.service(self.shared(None)?))
    }
}
