//! Several sockets of one server, and kinds of them.

use std::os::unix::fs::PermissionsExt as _;

use tokio::sync::oneshot;
use wireloom::server::{Listener, PeerAddr};
use wireloom::{Channel, Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{ProbeClient, Setup, TestServer, service, task};

#[tokio::test]
async fn one_server_serves_several_listeners_and_stops_on_all() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", folder.path().join("a.sock").display());
    let addresses = ["127.0.0.1:0", "[::1]:0", &unix];
    let listeners = Listener::bind_all(addresses).await.unwrap();
    let targets: Vec<_> = listeners
        .iter()
        .map(|listener| listener.target().to_string())
        .collect();
    let (stop, stopped) = oneshot::channel::<()>();
    let (service, _events) = service();
    let server = Server::builder().add_service(service);
    let served = tokio::spawn(server.serve_with_shutdown(listeners, async {
        let _ = stopped.await;
    }));
    for target in &targets {
        let client = ProbeClient::connect(target).await.unwrap();
        client.unary(task("a")).await.unwrap();
    }
    drop(stop);
    assert_eq!(served.await.unwrap().unwrap().cut_off_calls, 0);
    for target in &targets {
        assert!(Channel::connect(target).await.is_err(), "{target}");
    }
}

#[tokio::test]
async fn a_server_without_a_listener_does_not_pretend_to_serve() {
    let nothing = Listener::bind_all([] as [&str; 0]).await.unwrap();
    let served = Server::builder().serve_with_shutdown(nothing, async {});
    let status = served.await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("listen"), "{status}");
}

#[tokio::test]
async fn an_address_that_fails_leaves_none_of_all_open() {
    let first = Listener::bind("127.0.0.1:0").await.unwrap();
    let taken = first.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let unix = format!("unix:{}", path.display());
    let status = Listener::bind_all([&unix, &taken]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&taken), "{status}");
    assert!(!path.exists());
}

#[tokio::test]
async fn servers_may_share_a_port() {
    let first = Listener::bind_shared("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap().to_string();
    let second = Listener::bind_shared(&address).await.unwrap();
    drop(first);
    let (service, _events) = service();
    tokio::spawn(Server::builder().add_service(service).serve(second));
    let client = ProbeClient::connect(&address).await.unwrap();
    client.unary(task("a")).await.unwrap();
    let status = Listener::bind(&address).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "who does not share");
}

#[tokio::test]
async fn the_file_of_a_unix_socket_has_the_permissions_that_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let address = format!("unix:{}", path.display());
    let listener = Listener::bind(&address).await.unwrap();
    let _listener = listener.unix_mode(0o660).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn the_permissions_of_a_unix_socket_may_stand_behind_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let address = format!("unix:{}?mode=0600", path.display());
    let server = Server::builder().listen([address.as_str()]);
    let listeners = server.listeners().await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let target = listeners.iter().next().unwrap().target().to_string();
    assert_eq!(target, format!("unix:{}", path.display()));
    let abstract_socket = Listener::bind("unix-abstract:wireloom-test?mode=0600").await;
    assert_eq!(abstract_socket.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_tcp_listener_has_no_permissions() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let status = listener.unix_mode(0o660).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

/// Sends the user of the peer back.
struct TellUser;

impl Interceptor for TellUser {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let user = match call.extensions().get() {
            Some(PeerAddr::Unix(peer)) => peer.user_id,
            _ => None,
        };
        let user = user.ok_or_else(|| Status::internal("no user is known"))?;
        let mut response = next.run(call).await?;
        response.metadata_mut().insert("user", user.into());
        Ok(response)
    }
}

#[tokio::test]
async fn an_abstract_socket_has_no_file_and_the_peer_of_a_unix_socket_has_a_user() {
    let name = format!("unix-abstract:wireloom-{}", std::process::id());
    let server = TestServer::start(Setup {
        address: name.clone(),
        server: Server::builder().interceptor(TellUser),
        ..Setup::default()
    })
    .await;
    assert_eq!(server.target, name);
    let response = server.client().await.unary(task("a")).await.unwrap();
    let user = nix::unistd::getuid().to_string();
    assert_eq!(response.metadata().get("user").unwrap(), user.as_str());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "precious").unwrap();
    let address = format!("unix:{}", path.display());
    let status = Listener::bind(&address).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_listener_that_is_dropped_leaves_the_file_of_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let address = format!("unix:{}", path.display());
    let first = Listener::bind(&address).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = Listener::bind(&address).await.unwrap();
    drop(first);
    assert!(path.exists());
}
