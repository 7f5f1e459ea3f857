//! An etcd, servers that register themselves in it, and clients that follow them.

use std::{collections::BTreeSet, future::Future, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::oneshot,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use wireloom::{Channel, LoadBalancing, Server, server::Listener};

use etcd_resolver::{
    Entry, EtcdResolver, Registration, connect,
    proto::whoami::{AskRequest, WhoamiClient, WhoamiServer},
    service::Named,
};

const TARGET: &str = "etcd:///services/whoami";

/// How long servers stay in etcd without a word.
const TTL: Duration = Duration::from_secs(2);

/// How long a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// An etcd of one test's own, ended with it.
pub struct Etcd {
    folder: TempDir,
    ports: [u16; 2],
    process: Option<Child>,
}

impl Etcd {
    pub async fn start() -> Self {
        let mut etcd = Self::stopped().await;
        etcd.restart().await;
        etcd
    }

    /// Where an etcd will be.
    pub async fn stopped() -> Self {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        Self {
            folder: TempDir::new().unwrap(),
            ports: listeners.map(|listener| listener.local_addr().unwrap().port()),
            process: None,
        }
    }

    /// Its clients' target.
    pub fn target(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    pub fn forget_all(&mut self) {
        assert!(self.process.is_none());
        self.folder = TempDir::new().unwrap();
    }

    pub async fn restart(&mut self) {
        let [clients, peers] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(self.folder.path())
            .args(["--listen-client-urls", &clients])
            .args(["--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers])
            .args(["--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("etcd is installed: Debian's package etcd-server has it");
        self.process = Some(process);
        let up = Instant::now() + PATIENCE;
        while TcpStream::connect(self.target()).await.is_err() {
            assert!(Instant::now() < up, "etcd does not start");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often it was asked for keys.
    pub async fn lists(&self) -> u32 {
        let mut connection = TcpStream::connect(self.target()).await.unwrap();
        let request = b"GET /metrics HTTP/1.0\r\n\r\n";
        connection.write_all(request).await.unwrap();
        let mut metrics = String::new();
        connection.read_to_string(&mut metrics).await.unwrap();
        let mut lines = metrics.lines();
        let counter = r#"grpc_server_started_total{grpc_method="Range","#;
        let line = lines.find(|line| line.starts_with(counter)).unwrap();
        let (_, count) = line.rsplit_once(' ').unwrap();
        count.parse().unwrap()
    }

    /// Whether it has a server.
    pub async fn has(&self, name: &str) -> bool {
        let mut etcd = connect(&self.target()).await.unwrap();
        let found = etcd.get(format!("services/whoami/{name}"), None).await;
        found.unwrap().count() > 0
    }

    /// The place of a server in it.
    pub fn registration(&self, name: &str, address: String) -> Registration {
        Registration {
            etcd: self.target(),
            key: format!("services/whoami/{name}"),
            server: Entry::new(address),
            ttl: TTL,
        }
    }

    /// A server that is registered until it is stopped.
    pub async fn serve(&self, name: &str) -> Served {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let registration = self.registration(name, address(&listener));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let end = async {
                let _ = stopped.await;
            };
            registration.keep_until(end).await;
        };
        Served {
            stop,
            server: serve(name, listener, shutdown),
        }
    }

    /// A client once it has found a server: from here on, its calls neither wait nor are made again.
    pub async fn client(&self) -> Client {
        let client = self.lazy_client();
        let first = client.0.ask(AskRequest::default()).wait_for_ready(true);
        first.await.unwrap();
        client
    }

    /// A client whose calls go to the servers in turn.
    pub fn lazy_client(&self) -> Client {
        let channel = Channel::builder(TARGET)
            .resolver(EtcdResolver::new(&self.target(), TARGET).unwrap())
            .load_balancing(LoadBalancing::RoundRobin)
            .lazy()
            .unwrap();
        Client(WhoamiClient::new(channel))
    }
}

/// A server that runs.
pub struct Served {
    stop: oneshot::Sender<()>,
    server: AbortOnDropHandle<()>,
}

impl Served {
    /// Ends the server without a word to etcd or its clients.
    pub fn kill(self) {
        drop(self.server);
    }

    /// Has the server take itself out of etcd and end, once its calls are done.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }
}

pub fn address(listener: &Listener) -> String {
    listener.local_addr().unwrap().to_string()
}

pub fn serve(
    name: &str,
    listener: Listener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> AbortOnDropHandle<()> {
    let server = Server::builder()
        .shutdown_timeout(Duration::from_secs(10))
        .add_service(WhoamiServer::new(Named(name.to_owned())))
        .serve_with_shutdown(listener, shutdown);
    AbortOnDropHandle::new(tokio::spawn(async {
        let shutdown = server.await.unwrap();
        assert_eq!(shutdown.cut_off_calls, 0);
    }))
}

#[derive(Clone)]
pub struct Client(pub WhoamiClient);

impl Client {
    /// Who answers a call that takes so long.
    pub async fn ask(&self, think: Duration) -> String {
        let think_ms = u32::try_from(think.as_millis()).unwrap();
        let reply = self.0.ask(AskRequest { think_ms }).await;
        reply.unwrap().into_inner().name
    }

    /// Four calls that are under way, and will be for a while.
    pub async fn slow_calls(&self) -> Vec<AbortOnDropHandle<String>> {
        let calls = (0..4).map(|_| {
            let client = self.clone();
            let call = async move { client.ask(Duration::from_secs(2)).await };
            AbortOnDropHandle::new(tokio::spawn(call))
        });
        let calls = calls.collect();
        self.calls_for(Duration::from_millis(200)).await;
        calls
    }

    /// Makes calls, all of which must succeed, until these servers answer them, and no others.
    pub async fn is_answered_by<const N: usize>(&self, names: [&str; N]) {
        let names = BTreeSet::from(names.map(str::to_owned));
        let end = Instant::now() + PATIENCE;
        loop {
            let mut answered = BTreeSet::new();
            for _ in 0..4 * N {
                answered.insert(self.ask(Duration::ZERO).await);
            }
            if answered == names {
                return;
            }
            assert!(Instant::now() < end, "{answered:?} answer, not {names:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes calls for a while, all of which must succeed.
    pub async fn calls_for(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.ask(Duration::ZERO).await;
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Who answered these calls, by name.
pub async fn answers(calls: Vec<AbortOnDropHandle<String>>) -> Vec<String> {
    let mut names = Vec::new();
    for call in calls {
        names.push(call.await.unwrap());
    }
    names.sort();
    names
}
