//! A server that does as each task says, and tells the test what happens in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_stream::try_stream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use wireloom::metadata::{KeyAndValueRef, MetadataMap};
use wireloom::server::{Listener, Shutdown};
use wireloom::{CallObserver, InterceptedCall, Interceptor, Next};
use wireloom::{
    Code, Compression, Context, MessageStream, Request, Response, Server, Status, Streaming,
};

pub use crate::proto::probe::{Outcome, Probe, ProbeClient, ProbeServer, Task};

/// What happened in a handler, with the task's name.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Started(String),
    /// The handler, or the stream it returned, was dropped before its end.
    Dropped(String),
    /// The token of work that the handler moved to another task fired.
    TokenFired(String),
}

/// A server on a socket of its own, stopped when dropped.
pub struct TestServer {
    pub target: String,
    pub events: mpsc::UnboundedReceiver<Event>,
    stop: Option<oneshot::Sender<()>>,
    served: AbortOnDropHandle<Result<Shutdown, Status>>,
}

/// How a test's server differs from the usual.
pub struct Setup {
    pub address: String,
    pub shutdown_timeout: Duration,
    pub next_hop: Option<ProbeClient>,
    /// The server before it has its service.
    pub server: Server,
}

impl Default for Setup {
    fn default() -> Self {
        let address = "127.0.0.1:0".to_owned();
        Self {
            address,
            shutdown_timeout: Duration::from_secs(10),
            next_hop: None,
            server: Server::builder(),
        }
    }
}

impl TestServer {
    pub async fn start(setup: Setup) -> Self {
        let listener = Listener::bind(&setup.address).await.unwrap();
        let target = listener.target().to_string();
        let (service, events) = service_before(setup.next_hop);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = setup
            .server
            .shutdown_timeout(setup.shutdown_timeout)
            .add_service(service);
        let served =
            AbortOnDropHandle::new(tokio::spawn(server.serve_with_shutdown(listener, async {
                let _ = stopped.await;
            })));
        Self {
            target,
            events,
            stop: Some(stop),
            served,
        }
    }

    pub async fn client(&self) -> ProbeClient {
        ProbeClient::connect(&self.target).await.unwrap()
    }

    /// The next event; fails the test where the server has none to tell for a long time.
    pub async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        event
            .expect("an event of the server")
            .expect("the server is up")
    }

    /// Tells the server to shut down.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    /// How it shut down.
    pub async fn stopped(mut self) -> Shutdown {
        self.stop();
        self.served.await.unwrap().unwrap()
    }
}

/// The service, and what happens in it.
pub fn service() -> (ProbeServer<impl Probe>, mpsc::UnboundedReceiver<Event>) {
    service_before(None)
}

fn service_before(
    next_hop: Option<ProbeClient>,
) -> (ProbeServer<impl Probe>, mpsc::UnboundedReceiver<Event>) {
    let (events_in, events) = mpsc::unbounded_channel();
    let handler = Handler {
        events: events_in,
        next_hop,
        attempts: Arc::default(),
    };
    (ProbeServer::new(handler), events)
}

/// A channel to the service in this process, and what happens in the service.
pub fn in_process() -> (wireloom::ChannelBuilder, mpsc::UnboundedReceiver<Event>) {
    in_process_on(Server::builder())
}

/// The same on a server with options.
pub fn in_process_on(server: Server) -> (wireloom::ChannelBuilder, mpsc::UnboundedReceiver<Event>) {
    let (service, events) = service();
    let server = server.add_service(service);
    (wireloom::Channel::in_process(server), events)
}

/// A server as most tests want it, and a client of it.
pub async fn serve() -> (TestServer, ProbeClient) {
    let server = TestServer::start(Setup::default()).await;
    let client = server.client().await;
    (server, client)
}

/// The sizes on the wire of the messages that come in.
#[derive(Clone, Default)]
pub struct Sizes(Arc<Mutex<Vec<usize>>>);

impl Sizes {
    pub fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl CallObserver for Sizes {
    fn message_received(&self, size: usize) {
        self.0.lock().unwrap().push(size);
    }
}

/// Has each call observed by a copy.
pub struct Observed<O>(pub O);

impl<O: CallObserver + Clone> Interceptor for Observed<O> {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(self.0.clone());
        next.run(call).await
    }
}

pub fn task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        ..Task::default()
    }
}

/// Cheap to clone: what a handler streams owns a handle to it.
#[derive(Clone)]
struct Handler {
    events: mpsc::UnboundedSender<Event>,
    next_hop: Option<ProbeClient>,
    attempts: Arc<Mutex<HashMap<String, u32>>>,
}

/// Tells that it was dropped, unless its work was done.
struct Running {
    name: Option<String>,
    events: mpsc::UnboundedSender<Event>,
}

impl Running {
    fn done(mut self) {
        self.name = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let _ = self.events.send(Event::Dropped(name));
        }
    }
}

impl Handler {
    fn start(&self, name: &str) -> Running {
        let _ = self.events.send(Event::Started(name.to_owned()));
        let (events, watched) = (self.events.clone(), name.to_owned());
        let cancelled = Context::current().cancellation_token();
        wireloom::spawn(async move {
            tokio::select! {
                () = cancelled.cancelled() => { let _ = events.send(Event::TokenFired(watched)); }
                () = events.closed() => {}
            }
        });
        Running {
            name: Some(name.to_owned()),
            events: self.events.clone(),
        }
    }

    /// Fails where the task says so, in the attempts that it says.
    fn check(&self, task: &Task) -> Result<(), Status> {
        if task.code == 0 {
            return Ok(());
        }
        let mut attempts = self.attempts.lock().unwrap();
        let attempts = attempts.entry(task.name.clone()).or_default();
        *attempts += 1;
        if task.failing_attempts > 0 && *attempts > task.failing_attempts {
            return Ok(());
        }
        let code = Code::from_i32(task.code);
        let mut status = Status::with_details(code, "as told", DETAILS.into());
        status
            .metadata_mut()
            .insert("attempt", attempts.to_string().parse().unwrap());
        Err(status)
    }

    async fn outcome(&self, task: Task, previous_attempts: u32) -> Result<Outcome, Status> {
        self.check(&task)?;
        assert_ne!(task.name, PANIC);
        if task.hang && task.hops == 0 {
            std::future::pending::<()>().await;
        }
        match &self.next_hop {
            Some(next) if task.hops > 0 => {
                let handed_on = Task {
                    hops: task.hops - 1,
                    ..task
                };
                next.unary(handed_on)
                    .no_timeout()
                    .await
                    .map(Response::into_inner)
            }
            _ => Ok(outcome(task.name, 0, previous_attempts)),
        }
    }
}

/// The name of a task that panics.
pub const PANIC: &str = "panic";

/// The details of every status that a task asks for.
pub const DETAILS: &[u8] = b"\x08\x07";

fn outcome(name: String, index: u32, previous_attempts: u32) -> Outcome {
    let context = Context::current();
    let remaining = context
        .deadline()
        .map_or(0, |deadline| deadline.remaining().as_millis());
    Outcome {
        name,
        index,
        previous_attempts,
        remaining_ms: u64::try_from(remaining).unwrap(),
        trace_id: context
            .trace()
            .map(|trace| trace.trace_id().to_string())
            .unwrap_or_default(),
    }
}

fn previous_attempts<T>(request: &Request<T>) -> u32 {
    let header = request.metadata().get("grpc-previous-rpc-attempts");
    header.map_or(0, |value| value.to_str().unwrap().parse().unwrap())
}

/// Sends metadata whose key starts with `echo` back, by the compression that the metadata names.
fn echo<T>(metadata: MetadataMap, message: T) -> Response<T> {
    let mut response = Response::new(message);
    match metadata.get("compression").map(|name| name.as_bytes()) {
        Some(b"gzip") => {
            response.extensions_mut().insert(Compression::Gzip);
        }
        Some(b"zstd") => {
            response.extensions_mut().insert(Compression::Zstd);
        }
        Some(_) => {
            response.extensions_mut().insert(Compression::Identity);
        }
        None => {}
    }
    for entry in metadata.iter() {
        match entry {
            KeyAndValueRef::Ascii(key, value) if key.as_str().starts_with("echo") => {
                response.metadata_mut().insert(key, value.clone());
            }
            KeyAndValueRef::Binary(key, value) if key.as_str().starts_with("echo") => {
                response.metadata_mut().insert_bin(key, value.clone());
            }
            _ => {}
        }
    }
    response
}

impl Probe for Handler {
    async fn unary(&self, request: Request<Task>) -> Result<Response<Outcome>, Status> {
        let running = self.start(&request.get_ref().name);
        let previous_attempts = previous_attempts(&request);
        let (metadata, _, task) = request.into_parts();
        let outcome = self.outcome(task, previous_attempts).await;
        running.done();
        Ok(echo(metadata, outcome?))
    }

    async fn retried(&self, request: Request<Task>) -> Result<Response<Outcome>, Status> {
        self.unary(request).await
    }

    async fn server_stream(
        &self,
        request: Request<Task>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let task = request.into_inner();
        let running = self.start(&task.name);
        let handler = self.clone();
        Ok(Response::new(try_stream! {
            for index in 0..task.count {
                yield outcome(task.name.clone(), index, 0);
            }
            handler.check(&task)?;
            if task.hang {
                std::future::pending::<()>().await;
            }
            running.done();
        }))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<Task>>,
    ) -> Result<Response<Outcome>, Status> {
        let previous_attempts = previous_attempts(&request);
        let running = self.start("client stream");
        let mut tasks = request.into_inner();
        let (mut count, mut name) = (0, String::new());
        while let Some(task) = tasks.message().await? {
            count += 1;
            self.check(&task)?;
            name = task.name;
        }
        running.done();
        Ok(Response::new(outcome(name, count, previous_attempts)))
    }

    async fn bidi(
        &self,
        request: Request<Streaming<Task>>,
    ) -> Result<Response<impl MessageStream<Outcome>>, Status> {
        let (metadata, _, mut tasks) = request.into_parts();
        let running = self.start("bidi");
        let handler = self.clone();
        Ok(echo(
            metadata,
            try_stream! {
                while let Some(task) = tasks.message().await? {
                    handler.check(&task)?;
                    yield outcome(task.name, task.count, 0);
                }
                running.done();
            },
        ))
    }
}
