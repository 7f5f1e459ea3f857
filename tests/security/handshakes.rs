//! Who gets to whom, and what the others are told.

use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use wireloom::server::Listener;
use wireloom::tls::{ClientTls, Identity, Roots, ServerTls, TlsVersion};
use wireloom::{Channel, Code, Server};
use wireloom_peer::Authority;

use crate::support::{
    ProbeClient, Setup, Task, TestServer, serve as serve_plaintext, service, task,
};
use crate::world::{
    NAME, World, client, https, peer, refusal, refused, serve, serve_at, server_tls,
};

#[tokio::test]
async fn calls_go_over_tls() {
    let (_server, client) = World::new().serve().await;
    assert_eq!(peer(&client).await, "nobody");
    let call = client.server_stream(Task {
        count: 1000,
        ..task("a")
    });
    let mut outcomes = call.await.unwrap().into_inner();
    for index in 0..1000 {
        assert_eq!(outcomes.message().await.unwrap().unwrap().index, index);
    }
    assert!(outcomes.message().await.unwrap().is_none());
    let large = "a".repeat(1 << 20);
    let outcome = client.unary(task(&large)).await.unwrap().into_inner();
    assert_eq!(outcome.name, large);
}

#[tokio::test]
async fn tls_goes_over_unix_sockets_too() {
    let world = World::new();
    let setup = Setup {
        address: format!("unix:{}", world.path().join("probe.sock").display()),
        server: Server::builder().tls(world.server_tls()),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let client = client(&server, world.client_tls()).await.unwrap();
    client.unary(task("a")).await.unwrap();
}

#[tokio::test]
async fn listeners_of_one_server_have_tls_of_their_own_or_none() {
    let world = World::new();
    let bind = async || Listener::bind("127.0.0.1:0").await.unwrap();
    let other = Authority::new("another authority");
    let listeners = [
        bind().await,
        bind().await.plaintext(),
        bind().await.tls(server_tls(&other.issue(&[NAME]))),
    ];
    let [secured, plain, of_other] = listeners.each_ref().map(|at| at.target().to_string());
    let (service, _events) = service();
    let server = Server::builder().tls(world.server_tls());
    tokio::spawn(server.add_service(service).serve(listeners));

    ProbeClient::connect(&plain).await.unwrap();
    let connect = async |target: &str, authority: &Authority| {
        let roots = Roots::pem(authority.pem());
        let tls = ClientTls::new().roots(roots).server_name(NAME);
        Channel::builder(&https(target)).tls(tls).connect().await
    };
    connect(&secured, &world.authority).await.unwrap();
    connect(&of_other, &other).await.unwrap();
    connect(&of_other, &world.authority).await.unwrap_err();
    assert!(Channel::connect(&secured).await.is_err(), "in plaintext");
}

#[tokio::test]
async fn browsers_reach_a_server_by_https_and_clients_of_grpc_do_so_too() {
    let world = World::new();
    let routes = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let setup = Setup {
        server: Server::builder()
            .tls(world.server_tls())
            .fallback(routes)
            .accept_http1(),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    let address = server.target.strip_prefix("http://").unwrap().to_owned();
    server.target = https(&server.target);
    for offered in [&["http/1.1"][..], &[]] {
        let io = secured(&address, &world.authority, offered).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/").header("host", NAME);
        let request = request.body(String::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{offered:?}");
    }
    let client = client(&server, world.client_tls()).await.unwrap();
    client.unary(task("a")).await.unwrap();
}

/// A connection by TLS as a client makes it that offers these protocols.
async fn secured(
    address: &str,
    authority: &Authority,
    offered: &[&str],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    config.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let io = TcpStream::connect(address).await.unwrap();
    connector
        .connect(NAME.try_into().unwrap(), io)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_server_is_known_by_its_address_where_its_certificate_is_for_that() {
    let world = World::new();
    let server = serve(server_tls(&world.authority.issue(&["127.0.0.1"]))).await;
    let tls = ClientTls::new().roots(world.roots());
    client(&server, tls).await.unwrap();
}

#[tokio::test]
async fn the_authority_of_a_channel_is_the_name_of_its_server() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let tls = ClientTls::new().roots(world.roots());
    let channel = Channel::builder(&server.target).tls(tls);
    channel.authority(NAME).connect().await.unwrap();
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_with_its_names() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let message = refusal(&server, ClientTls::new().roots(world.roots())).await;
    assert!(message.contains("is not for 127.0.0.1"), "{message}");
    assert!(message.contains(NAME), "{message}");
    let message = refusal(&server, world.client_tls().server_name("other.test")).await;
    assert!(message.contains("is not for other.test"), "{message}");
    assert!(message.contains("ClientTls::server_name"), "{message}");
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_refused() {
    let world = World::new();
    let other = Authority::new("another");
    let server = serve(server_tls(&other.issue(&[NAME]))).await;
    let message = refusal(&server, world.client_tls()).await;
    assert!(
        message.contains("leads to no root that is trusted"),
        "{message}"
    );
    // The system does not know it either.
    let system = wireloom::tls::Roots::system();
    let message = refusal(&server, ClientTls::new().roots(system).server_name(NAME)).await;
    assert!(
        message.contains("leads to no root that is trusted"),
        "{message}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let world = World::new();
    let server = serve(server_tls(&world.authority.issue_expired(&[NAME]))).await;
    let message = refusal(&server, world.client_tls()).await;
    assert!(message.contains("has expired"), "{message}");
}

#[tokio::test]
async fn an_https_target_has_tls_by_itself() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    // It gets as far as the certificate, which the system's roots do not know.
    let message = refused(Channel::connect(&server.target).await);
    assert!(
        message.contains("leads to no root that is trusted"),
        "{message}"
    );
}

#[tokio::test]
async fn a_client_in_plaintext_is_told_that_the_server_may_speak_tls() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let plaintext = server.target.replace("https://", "http://");
    let message = refused(Channel::connect(&plaintext).await);
    assert!(message.contains("is called by https://"), "{message}");
}

#[tokio::test]
async fn a_client_with_tls_is_told_that_the_server_is_in_plaintext() {
    let world = World::new();
    let (server, _) = serve_plaintext().await;
    let channel = Channel::builder(&https(&server.target)).tls(world.client_tls());
    let message = refused(channel.connect().await);
    assert!(message.contains("plaintext"), "{message}");
}

#[tokio::test]
async fn both_may_insist_on_tls_1_3() {
    let world = World::new();
    let server = serve(world.server_tls().min_version(TlsVersion::Tls13)).await;
    let tls = world.client_tls().min_version(TlsVersion::Tls13);
    client(&server, tls).await.unwrap();
}

#[tokio::test]
async fn a_call_over_a_channel_that_cannot_connect_says_why() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let channel = Channel::builder(&server.target).tls(ClientTls::new().roots(world.roots()));
    let client = ProbeClient::new(channel.lazy().unwrap());
    let status = client.unary(task("a")).no_retry().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("is not for 127.0.0.1"),
        "{status}"
    );
}

#[tokio::test]
async fn a_server_without_a_usable_identity_does_not_serve() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let tls = ServerTls::new(Identity::files("nowhere.pem", "nowhere.key"));
    let status = Server::builder()
        .tls(tls)
        .serve(listener)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("nowhere.pem"), "{status}");
}

#[tokio::test]
async fn clients_that_do_not_shake_hands_hold_up_nobody_and_are_ended() {
    let world = World::new();
    let timeout = Duration::from_millis(300);
    let server = serve(world.server_tls().handshake_timeout(timeout)).await;
    let address = server.target.strip_prefix("https://").unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    client(&server, world.client_tls()).await.unwrap();
    for io in &silent {
        io.readable().await.unwrap();
        assert_eq!(io.try_read(&mut [0; 1]).unwrap(), 0, "it is still open");
    }
}

#[tokio::test]
async fn a_handshake_that_comes_byte_by_byte_is_ended_in_the_same_time() {
    let world = World::new();
    let timeout = Duration::from_millis(300);
    let server = serve(world.server_tls().handshake_timeout(timeout)).await;
    let address = server.target.strip_prefix("https://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    // The header of a record that holds a message of the handshake, 16 KiB long: more than ever comes.
    let mut bytes = [22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc]
        .into_iter()
        .chain(std::iter::repeat(0));
    let started = Instant::now();
    // A write fails once the server has ended the connection.
    while slow.write_all(&[bytes.next().unwrap()]).await.is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "it is still open"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        started.elapsed() >= timeout,
        "it was not the time that ended it"
    );
    client(&server, world.client_tls()).await.unwrap();
}

#[tokio::test]
async fn a_handshake_counts_toward_the_time_that_a_connection_has() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}", listener.local_addr().unwrap());
    let channel = Channel::builder(&target).tls(World::new().client_tls());
    let channel = channel.connect_timeout(Duration::from_millis(200));
    let message = refused(channel.connect().await);
    assert!(message.contains("no connection within 200ms"), "{message}");
}

#[tokio::test]
async fn a_server_that_goes_away_over_tls_is_called_again() {
    let world = World::new();
    let certified = world.authority.issue(&[NAME]);
    let mut server = serve(server_tls(&certified)).await;
    let address = server.target.strip_prefix("https://").unwrap().to_owned();
    let client = client(&server, world.client_tls()).await.unwrap();
    for _ in 0..3 {
        client.unary(task("a")).await.unwrap();
        server.stopped().await;
        server = serve_at(&address, server_tls(&certified)).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_handshakes() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let address = server.target.strip_prefix("https://").unwrap();
    let _silent = TcpStream::connect(address).await.unwrap();
    client(&server, world.client_tls()).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stopped());
    assert_eq!(stopped.await.unwrap().cut_off_calls, 0);
}
