//! Calls that wait in HTTP layers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{Notify, oneshot},
    time::Instant,
};
use tonic::{Code, Request, Response, body::Body};

use super::{Call, Channel, Serve, Server, UNARY, call_by_hand, listen};
use crate::{deadline::Deadline, server::Listener};

/// Keeps requests before those inside of it have them, and responses after that.
#[derive(Clone)]
struct Keep<S = ()> {
    before: Duration,
    behind: Duration,
    came: Arc<Notify>,
    inner: S,
}

impl Keep {
    fn new(before: Duration, behind: Duration) -> Self {
        let came = Arc::default();
        Self {
            before,
            behind,
            came,
            inner: (),
        }
    }
}

impl<S> tower_layer::Layer<S> for Keep {
    type Service = Keep<S>;

    fn layer(&self, inner: S) -> Keep<S> {
        Keep {
            before: self.before,
            behind: self.behind,
            came: Arc::clone(&self.came),
            inner,
        }
    }
}

impl<S> tower_service::Service<http::Request<Body>> for Keep<S>
where
    S: tower_service::Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut this = self.clone();
        this.came.notify_one();
        Box::pin(async move {
            tokio::time::sleep(this.before).await;
            let response = this.inner.call(request).await;
            tokio::time::sleep(this.behind).await;
            response
        })
    }
}

const NEVER: Duration = Duration::from_secs(1 << 30);

/// Answers with the time that is left.
fn server(layer: Keep) -> Server {
    Server::builder()
        .layer(layer)
        .add_service(Serve(|call: Call| {
            call.unary(&UNARY, async |request: Request<String>| {
                let deadline = request.extensions().get::<Deadline>();
                let left = deadline.map(|deadline| deadline.remaining().as_millis().to_string());
                Ok(Response::new(left.unwrap_or_default()))
            })
        }))
}

#[tokio::test]
async fn a_call_that_waits_in_a_layer_ends_at_its_deadline() {
    for layer in [
        Keep::new(NEVER, Duration::ZERO),
        Keep::new(Duration::ZERO, NEVER),
    ] {
        let call = call_by_hand(
            server(layer),
            "/test.Test/Unary",
            &[("grpc-timeout", "50m")],
        );
        let response = tokio::time::timeout(Duration::from_secs(20), call).await;
        let response = response.expect("the call has ended");
        assert_eq!(response.headers()["grpc-status"], "4");
    }
}

/// Takes requests back from those inside of it after a while, and then waits.
#[derive(Clone)]
struct TakeBack<S = ()>(S);

impl<S> tower_layer::Layer<S> for TakeBack {
    type Service = TakeBack<S>;

    fn layer(&self, inner: S) -> TakeBack<S> {
        TakeBack(inner)
    }
}

impl<S> tower_service::Service<http::Request<Body>> for TakeBack<S>
where
    S: tower_service::Service<http::Request<Body>, Error = Infallible, Future: Send + 'static>,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(Duration::from_millis(1), inner).await {
                Ok(response) => response,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_call_that_a_layer_took_back_ends_at_its_deadline() {
    let server = Server::builder()
        .layer(TakeBack(()))
        .add_service(Serve(|call: Call| {
            call.unary(&UNARY, async |_: Request<String>| {
                std::future::pending::<Result<Response<String>, _>>().await
            })
        }));
    let call = call_by_hand(server, "/test.Test/Unary", &[("grpc-timeout", "50m")]);
    let response = tokio::time::timeout(Duration::from_secs(20), call).await;
    let response = response.expect("the call has ended");
    assert_eq!(response.headers()["grpc-status"], "4");
}

/// Begins calls inside of it, gives them up, and answers by itself.
#[derive(Clone)]
struct GiveUp<S = ()>(S);

impl<S> tower_layer::Layer<S> for GiveUp {
    type Service = GiveUp<S>;

    fn layer(&self, inner: S) -> GiveUp<S> {
        GiveUp(inner)
    }
}

impl<S> tower_service::Service<http::Request<Body>> for GiveUp<S>
where
    S: tower_service::Service<http::Request<Body>, Future: Send + 'static>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut inner = Box::pin(self.0.call(request));
        Box::pin(async move {
            let begun =
                std::future::poll_fn(|cx| Poll::Ready(inner.as_mut().poll(cx).is_pending()));
            assert!(begun.await);
            Ok(tonic::Status::unavailable("given up").into_http())
        })
    }
}

#[tokio::test]
async fn calls_that_a_layer_gives_up_are_no_resets_of_their_caller() {
    let server = Server::builder()
        .layer(GiveUp(()))
        .add_service(Serve(|call: Call| {
            call.unary(&UNARY, async |_: Request<String>| {
                std::future::pending::<Result<Response<String>, _>>().await
            })
        }));
    let target = listen(server).await;
    let io = TcpStream::connect(target.strip_prefix("http://").unwrap()).await;
    let (mut sender, connection) = h2::client::handshake(io.unwrap()).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3000 {
        let request = http::Request::post(format!("{target}/test.Test/Unary"))
            .header("content-type", "application/grpc")
            .body(());
        sender = sender.ready().await.unwrap();
        let (response, _) = sender.send_request(request.unwrap(), true).unwrap();
        assert_eq!(response.await.unwrap().headers()["grpc-status"], "14");
    }
}

#[tokio::test]
async fn a_call_that_waits_in_a_layer_ends_at_the_deadline_that_the_server_gives_it() {
    let server =
        server(Keep::new(NEVER, Duration::ZERO)).default_timeout(Duration::from_millis(50));
    let call = call_by_hand(server, "/test.Test/Unary", &[]);
    let response = tokio::time::timeout(Duration::from_secs(20), call).await;
    let response = response.expect("the call has ended");
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_when_the_call_was_received() {
    let server = server(Keep::new(Duration::from_millis(400), Duration::ZERO));
    let channel = Channel::in_process(server).lazy().unwrap();
    let call = channel.unary(&UNARY, String::new());
    let left = call.timeout(Duration::from_secs(1)).await.unwrap();
    let left: u64 = left.into_inner().parse().unwrap();
    assert!((590..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_call_that_waits_in_a_layer_is_cut_off_at_the_shutdown_and_counted() {
    let layer = Keep::new(NEVER, Duration::ZERO);
    let came = Arc::clone(&layer.came);
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = server(layer).shutdown_timeout(Duration::ZERO);
    let served = tokio::spawn(server.serve_with_shutdown(listener, async {
        let _ = stopped.await;
    }));
    let channel = Channel::connect(&target).await.unwrap();
    let call = tokio::spawn(async move { channel.unary(&UNARY, String::new()).await });
    came.notified().await;
    drop(stop);
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(served.await.unwrap().unwrap().cut_off_calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_layer_keeps_for_a_while_is_answered() {
    let second = Duration::from_secs(1);
    let server = server(Keep::new(second, second));
    let channel = Channel::in_process(server).lazy().unwrap();
    let begun = Instant::now();
    let call = channel.unary(&UNARY, String::new());
    call.timeout(Duration::from_secs(3)).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 2);
}
