//! Sockets that another process opened, as systemd passes them. A child of the test's is that process's child.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use wireloom::server::{Listener, Listeners, systemd::PassedSockets};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{ProbeClient, service, task};

/// Where a child says that it ran.
const RAN: &str = "TEST_RAN";

/// Starts one of the ignored tests below in a process of its own, with descriptors 3 and 4.
fn start(test: &str, names: &str, sockets: [OwnedFd; 2]) -> Command {
    // Only the new process knows its id. The first descriptor comes in as its input, the second as its output.
    let script = r#"LISTEN_PID=$$ exec "$@" 3<&0 4>&1 1>&2 0</dev/null"#;
    let mut command = Command::new("sh");
    let [first, second] = sockets;
    command
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", names)
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second))
        .kill_on_drop(true);
    command
}

async fn succeeds(mut child: Child) {
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
    assert!(ended.expect("the child ends").unwrap().success());
}

#[tokio::test]
async fn a_server_takes_sockets_by_name_and_tells_when_it_serves() {
    serves("systemd::child_serves").await;
}

#[tokio::test]
async fn a_server_listens_on_sockets_that_it_is_told_of() {
    serves("systemd::child_listens").await;
}

async fn serves(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let grpc = TcpListener::bind("127.0.0.1:0").unwrap();
    let grpc_target = format!("http://{}", grpc.local_addr().unwrap());
    let admin_path = folder.path().join("admin.sock");
    let admin = UnixListener::bind(&admin_path).unwrap();
    let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();

    let child = start(test, "grpc:admin", [grpc.into(), admin.into()])
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .spawn()
        .unwrap();
    assert_eq!(next(&notified).await, "READY=1");
    let grpc = ProbeClient::connect(&grpc_target).await.unwrap();
    grpc.unary(task("a")).await.unwrap();
    let admin_target = format!("unix:{}", admin_path.display());
    let admin = ProbeClient::connect(&admin_target).await.unwrap();
    let last = admin.unary(task("b")).metadata("stop", "now");
    last.await.unwrap();
    assert_eq!(next(&notified).await, "STOPPING=1");
    succeeds(child).await;
}

async fn next(socket: &UnixDatagram) -> String {
    let mut state = [0; 64];
    let received = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut state)).await;
    let length = received.expect("a notification").unwrap();
    String::from_utf8_lossy(&state[..length]).into_owned()
}

/// Stops the server once a call says so.
struct Stop(Arc<Notify>);

impl Interceptor for Stop {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        if call.metadata().contains_key("stop") {
            self.0.notify_one();
        }
        next.run(call).await
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_serves() {
    let mut sockets = PassedSockets::take().unwrap().expect("sockets were passed");
    let again = PassedSockets::take().unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    let missing = sockets.named("grcp").unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("grpc"), "{missing}");
    for descriptor in [3, 4] {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert_ne!(flags & 0o2_000_000, 0, "{descriptor} is closed on exec");
    }
    let grpc = sockets.named("grpc").unwrap();
    let admin = sockets.named("admin").unwrap();
    let listeners: Vec<Listener> = grpc.into_iter().chain(admin).collect();
    serve_until_told(Server::builder(), listeners.into()).await;
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_listens() {
    let server = Server::builder().listen(["systemd:admin", "systemd"]);
    let listeners = server.listeners().await.unwrap();
    assert_eq!(listeners.iter().count(), 2);
    serve_until_told(server, listeners).await;
}

async fn serve_until_told(server: Server, listeners: Listeners) {
    let stop = Arc::new(Notify::new());
    let (service, _events) = service();
    server
        .notify_systemd()
        .interceptor(Stop(Arc::clone(&stop)))
        .add_service(service)
        .serve_with_shutdown(listeners, async move { stop.notified().await })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_listening_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let sockets = [listening.into(), file.into()];
    let child = start("systemd::child_refuses", "grpc:admin", sockets)
        .env(RAN, &ran)
        .spawn();
    succeeds(child.unwrap()).await;
    assert!(ran.exists(), "the child ran its test");
}

#[test]
#[ignore = "a child process of another test"]
fn child_refuses() {
    let status = PassedSockets::take().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = "systemd passed socket 4 (\"admin\"), which is no socket";
    assert!(status.message().starts_with(expected), "{status}");
    std::fs::write(std::env::var_os(RAN).unwrap(), "").unwrap();
}
