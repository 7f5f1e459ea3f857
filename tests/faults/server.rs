//! A server that can be killed, and that counts the calls in its handlers.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_stream::try_stream;
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wireloom::server::{Listener, Shutdown};
use wireloom::{Code, MessageStream, Request, Response, Status, Streaming};

use crate::proto::probe::{Outcome, Probe, ProbeServer, Task};

pub struct Server {
    pub address: SocketAddr,
    calls: Arc<Calls>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<Shutdown, Status>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves on the test's own runtime: its tasks and its memory are the test's.
    pub async fn start(server: wireloom::Server) -> Self {
        Self::serve(server, "127.0.0.1:0", &Handle::current()).await
    }

    /// Serves on a thread of its own, as if it were another process.
    pub async fn start_apart() -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = wireloom::Server::builder();
        let mut served = Self::serve(server, "127.0.0.1:0", runtime.handle()).await;
        served.runtime = Some(runtime);
        served
    }

    /// Serves on the runtime `on`.
    pub async fn serve(server: wireloom::Server, address: impl Into<String>, on: &Handle) -> Self {
        let address = address.into();
        let listening = on.spawn(async move { Listener::bind(&address).await });
        let listener = listening.await.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::default();
        let handler = Handler(Arc::clone(&calls));
        let server = server.add_service(ProbeServer::new(handler));
        let (stop, stopped) = oneshot::channel::<()>();
        let served = on.spawn(server.serve_with_shutdown(listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            calls,
            stop: Some(stop),
            served,
            runtime: None,
        }
    }

    /// How many calls are in handlers.
    pub fn calls(&self) -> usize {
        self.calls.running.load(Ordering::Relaxed)
    }

    /// How many have left them.
    pub fn ended_calls(&self) -> usize {
        self.calls.ended.load(Ordering::Relaxed)
    }

    /// Ends as a process does that is killed: what it was doing is left undone, and the system closes its sockets.
    pub fn kill(mut self) {
        let runtime = self.runtime.take();
        runtime
            .expect("a server with a thread of its own")
            .shutdown_background();
    }

    /// Shuts down; gives how.
    pub async fn stop(mut self) -> Shutdown {
        self.stop.take();
        let shutdown = (&mut self.served).await.unwrap().unwrap();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        shutdown
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.served.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Default)]
struct Calls {
    running: AtomicUsize,
    ended: AtomicUsize,
}

#[derive(Clone)]
struct Handler(Arc<Calls>);

/// A call in its handler.
struct Running(Arc<Calls>);

impl Handler {
    fn start(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn outcome(name: String, index: u32) -> Outcome {
    Outcome {
        name,
        index,
        ..Outcome::default()
    }
}

impl Probe for Handler {
    async fn unary(&self, request: Request<Task>) -> Result<Response<Outcome>, Status> {
        let _running = self.start();
        let task = request.into_inner();
        if task.hang {
            pending::<()>().await;
        }
        Ok(Response::new(outcome(task.name, 0)))
    }

    async fn retried(&self, request: Request<Task>) -> Result<Response<Outcome>, Status> {
        self.unary(request).await
    }

    async fn server_stream(
        &self,
        request: Request<Task>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let running = self.start();
        let task = request.into_inner();
        Ok(Response::new(try_stream! {
            let _running = running;
            for index in 0..task.count {
                yield outcome(task.name.clone(), index);
            }
            if task.hang {
                pending::<()>().await;
            }
        }))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<Task>>,
    ) -> Result<Response<Outcome>, Status> {
        let _running = self.start();
        let mut tasks = request.into_inner();
        let mut count = 0;
        while let Some(task) = tasks.message().await? {
            if task.code != 0 {
                return Err(Status::new(Code::from_i32(task.code), "as told"));
            }
            if task.hang {
                pending::<()>().await;
            }
            count += 1;
        }
        Ok(Response::new(outcome(String::new(), count)))
    }

    async fn bidi(
        &self,
        request: Request<Streaming<Task>>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let running = self.start();
        let mut tasks = request.into_inner();
        Ok(Response::new(try_stream! {
            let _running = running;
            while let Some(task) = tasks.message().await? {
                if task.hang {
                    pending::<()>().await;
                }
                yield outcome(task.name, task.count);
            }
        }))
    }
}
