//! HTTP layers around a server's calls.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tower_layer::Layer;
use tower_service::Service;
use wireloom::server::{Body, PeerAddr};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Server, Status, tokio_stream};

use crate::support::{Event, PANIC, ProbeClient, Setup, Task, TestServer, task};

type Notes = Arc<Mutex<Vec<String>>>;

/// Notes requests and responses, with a name.
#[derive(Clone)]
struct Note {
    name: &'static str,
    notes: Notes,
}

#[derive(Clone)]
struct Noting<S> {
    inner: S,
    note: Note,
}

impl<S> Layer<S> for Note {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        let note = self.clone();
        Noting { inner, note }
    }
}

impl<S> Service<Request<Body>> for Noting<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Note { name, notes } = self.note.clone();
        let known = request.extensions().get::<PeerAddr>().is_some();
        let line = format!("{name} {} peer={known}", request.uri().path());
        notes.lock().unwrap().push(line);
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            response
                .headers_mut()
                .insert("seen-by", "layer".parse().unwrap());
            let line = format!("{name} {}", response.status().as_u16());
            notes.lock().unwrap().push(line);
            Ok(response)
        })
    }
}

impl Interceptor for Note {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<wireloom::Response<()>, Status> {
        self.notes.lock().unwrap().push(self.name.to_owned());
        next.run(call).await
    }
}

async fn serve(server: Server) -> (TestServer, ProbeClient) {
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_and_interceptors_are_inside_of_layers() {
    let notes = Notes::default();
    let note = |name| Note {
        name,
        notes: Arc::clone(&notes),
    };
    let server = Server::builder()
        .interceptor(note("interceptor"))
        .layer(note("outer"))
        .layer(note("inner"));
    let (_server, client) = serve(server).await;
    let response = client.unary(task("a")).await.unwrap();
    assert_eq!(response.metadata().get("seen-by").unwrap(), "layer");
    let path = "/probe.Probe/Unary peer=true";
    assert_eq!(
        *notes.lock().unwrap(),
        [
            &format!("outer {path}"),
            &format!("inner {path}"),
            "interceptor",
            "inner 200",
            "outer 200",
        ]
    );
}

fn noted() -> Server {
    Server::builder().layer(Note {
        name: "layer",
        notes: Notes::default(),
    })
}

#[tokio::test]
async fn streams_pass_layers_both_ways() {
    let (_server, client) = serve(noted()).await;
    let tasks = tokio_stream::iter((0..100).map(|count| Task {
        count,
        ..task("each")
    }));
    let mut outcomes = client.bidi(tasks).await.unwrap().into_inner();
    for index in 0..100 {
        assert_eq!(outcomes.message().await.unwrap().unwrap().index, index);
    }
    assert_eq!(outcomes.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_status_and_a_panic_inside_of_layers_reach_the_caller() {
    let (_server, client) = serve(noted()).await;
    let failing = Task {
        code: Code::NotFound as i32,
        ..task("failing")
    };
    let status = client.unary(failing.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut outcomes = client
        .server_stream(Task {
            count: 2,
            ..failing
        })
        .await
        .unwrap()
        .into_inner();
    outcomes.message().await.unwrap().unwrap();
    outcomes.message().await.unwrap().unwrap();
    assert_eq!(outcomes.message().await.unwrap_err().code(), Code::NotFound);
    let status = client.unary(task(PANIC)).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    client.unary(task("after it")).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_call_inside_of_layers() {
    let (mut server, client) = serve(noted()).await;
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = tokio::spawn(async move { client.unary(hanging).await });
    assert_eq!(server.event().await, Event::Started("a".into()));
    call.abort();
    let mut after = [server.event().await, server.event().await];
    after.sort_by_key(|event| matches!(event, Event::TokenFired(_)));
    assert_eq!(
        after,
        [Event::Dropped("a".into()), Event::TokenFired("a".into())]
    );
}

#[tokio::test]
async fn calls_inside_of_layers_are_cut_off_at_the_shutdown() {
    let setup = Setup {
        server: noted(),
        shutdown_timeout: Duration::ZERO,
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    let client = server.client().await;
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = tokio::spawn(async move { client.unary(hanging).no_retry().await });
    assert_eq!(server.event().await, Event::Started("a".into()));
    let _ = server.stopped().await;
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
}

/// Answers all requests with a failure.
#[derive(Clone)]
struct Fail;

impl<S> Layer<S> for Fail {
    type Service = Self;

    fn layer(&self, _: S) -> Self {
        Self
    }
}

impl Service<Request<Body>> for Fail {
    type Response = Response<Body>;
    type Error = Status;
    type Future = std::future::Ready<Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Err(Status::resource_exhausted("too much")))
    }
}

#[tokio::test]
async fn a_layer_that_fails_with_a_status_ends_the_call_with_it() {
    let (_server, client) = serve(Server::builder().layer(Fail)).await;
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "too much")
    );
}

/// Panics instead of an answer.
#[derive(Clone)]
struct Panic;

impl<S> Layer<S> for Panic {
    type Service = Self;

    fn layer(&self, _: S) -> Self {
        Self
    }
}

impl Service<Request<Body>> for Panic {
    type Response = Response<Body>;
    type Error = Status;
    type Future = std::future::Ready<Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        panic!("as asked");
    }
}

#[tokio::test]
async fn a_layer_that_panics_ends_the_call_with_internal() {
    let (_server, client) = serve(Server::builder().layer(Panic)).await;
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
}

/// Changes the bodies of responses.
#[derive(Clone)]
struct ChangeBody<S = ()>(fn(Body) -> Body, S);

impl<S> Layer<S> for ChangeBody {
    type Service = ChangeBody<S>;

    fn layer(&self, inner: S) -> ChangeBody<S> {
        ChangeBody(self.0, inner)
    }
}

impl<S> Service<Request<Body>> for ChangeBody<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let change = self.0;
        let response = self.1.call(request);
        Box::pin(async move { Ok(response.await?.map(change)) })
    }
}

/// A body that fails.
fn fail(_: Body) -> Body {
    let failed = Err::<Frame<Bytes>, _>(Status::data_loss("broken"));
    Body::new(http_body_util::StreamBody::new(tokio_stream::once(failed)))
}

#[tokio::test]
async fn a_body_that_fails_in_a_layer_ends_the_call_with_its_status() {
    let (_server, client) = serve(Server::builder().layer(ChangeBody(fail, ()))).await;
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "broken")
    );
}

/// A body that panics behind what it has.
fn panic_at_the_end(body: Body) -> Body {
    Body::new(body.map_frame(|frame| {
        assert!(frame.is_data(), "as asked");
        frame
    }))
}

#[tokio::test]
async fn a_body_that_panics_in_a_layer_ends_the_call_with_internal() {
    let layer = ChangeBody(panic_at_the_end, ());
    let (_server, client) = serve(Server::builder().layer(layer)).await;
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
}
