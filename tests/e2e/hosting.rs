//! What `docs/server.md` shows of listeners, axum, layers and runtimes, run.

use std::time::Duration;

use axum::{Router, routing::get};
use tokio::sync::oneshot;
use tower::limit::ConcurrencyLimitLayer;
use wireloom::server::{Listener, Shutdown, systemd::PassedSockets};
use wireloom::{Server, Status};

use crate::support::{ProbeClient, service, task};

/// Serves with `serve`, which is told when to stop, until a call to each of the targets has been made.
async fn run<F>(serve: impl FnOnce(oneshot::Receiver<()>) -> F, targets: &[String])
where
    F: Future<Output = Result<Shutdown, Status>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(stopped));
    for target in targets {
        let client = ProbeClient::connect(target).await.unwrap();
        client.unary(task("a")).await.unwrap();
    }
    drop(stop);
    assert_eq!(served.await.unwrap().unwrap().cut_off_calls, 0);
}

#[tokio::test]
async fn several_listeners() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("probe.sock").display());
    let (service, _events) = service();
    let listeners = async {
        let public = Listener::bind("127.0.0.1:0").await?;
        let local = Listener::bind(&socket).await?.unix_mode(0o660)?;
        Ok::<_, Status>([public, local])
    };
    let [public, local] = listeners.await.unwrap();
    let targets = [&public, &local].map(|listener| listener.target().to_string());
    let serve = |stopped: oneshot::Receiver<()>| {
        let stop = async { drop(stopped.await) };
        Server::builder()
            .add_service(service)
            .serve_with_shutdown([public, local], stop)
    };
    run(serve, &targets).await;
}

#[tokio::test]
async fn sockets_of_systemd_or_others() {
    let listeners = async {
        let listeners = match PassedSockets::take()? {
            Some(sockets) => sockets.all()?,
            None => Listener::bind_all(["127.0.0.1:0"]).await?,
        };
        Ok::<_, Status>(listeners)
    };
    assert_eq!(listeners.await.unwrap().iter().count(), 1);
}

#[tokio::test]
async fn where_operators_say() {
    let listening = async {
        let server = Server::builder().listen(["127.0.0.1:0"]).configured()?;
        let listeners = server.listeners().await?;
        Ok::<_, Status>((server, listeners))
    };
    let (server, listeners) = listening.await.unwrap();
    let targets: Vec<_> = listeners.iter().map(|of| of.target().to_string()).collect();
    let (service, _events) = service();
    let serve = |stopped: oneshot::Receiver<()>| {
        let stop = async { drop(stopped.await) };
        server
            .add_service(service)
            .serve_with_shutdown(listeners, stop)
    };
    run(serve, &targets).await;
}

#[tokio::test]
async fn layers_and_routes() {
    let (service, _events) = service();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let targets = [listener.target().to_string()];
    let serve = |stopped: oneshot::Receiver<()>| {
        let stop = async { drop(stopped.await) };
        let routes = Router::new().route("/healthz", get(|| async { "ok" }));
        Server::builder()
            .layer(ConcurrencyLimitLayer::new(1000))
            .fallback(routes)
            .accept_http1()
            .add_service(service)
            .serve_with_shutdown(listener, stop)
    };
    run(serve, &targets).await;
}

#[tokio::test]
async fn a_server_inside_of_axum() {
    let (service, _events) = service();
    let app = || {
        let grpc = Server::builder().add_service(service).into_service()?;
        let app = Router::new()
            .route("/healthz", get(|| async { "ok" }))
            .route_service("/probe.Probe/{method}", grpc);
        Ok::<_, Status>(app)
    };
    let app = app().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(axum::serve(listener, app).into_future());
    let client = ProbeClient::connect(&target).await.unwrap();
    client.unary(task("a")).await.unwrap();
    served.abort();
}

#[tokio::test]
async fn a_runtime_per_core() {
    let (service, _events) = service();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let targets = [listener.target().to_string()];
    let serve = |stopped: oneshot::Receiver<()>| {
        let stop = async { drop(stopped.await) };
        Server::builder()
            .runtime_per_core()
            .shutdown_timeout(Duration::from_secs(10))
            .add_service(service)
            .serve_with_shutdown(listener, stop)
    };
    run(serve, &targets).await;
}

#[test]
fn settings_of_operators() {
    let server = || {
        let server = Server::builder()
            .shutdown_timeout(Duration::from_secs(10))
            .max_receive_message_size(16 << 20)
            .configured()?;
        Ok::<_, Status>(server)
    };
    assert!(server().is_ok());
}
