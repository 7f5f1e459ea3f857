//! Peers that speak TLS in another way than ours.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wireloom::tls::TlsVersion;
use wireloom_peer::{Authority, Certified};

use crate::support::task;
use crate::world::{NAME, World, channel, refused, serve};

/// Takes one connection over TLS with these protocols in ALPN; gives the scheme and the authority of its first request.
async fn serve_one(
    certified: Certified,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> (String, JoinHandle<Option<(String, String)>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::from_pem_slice(certified.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let io = TlsAcceptor::from(Arc::new(config)).accept(io).await.ok()?;
        let mut connection = h2::server::handshake(io).await.ok()?;
        let (request, _) = connection.accept().await?.ok()?;
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        Some((scheme.to_owned(), uri.authority()?.to_string()))
    });
    (target, served)
}

#[tokio::test]
async fn requests_over_tls_say_so() {
    let world = World::new();
    let certified = world.authority.issue(&[NAME]);
    let (target, served) = serve_one(certified, &["h2"], ALL_VERSIONS).await;
    let channel = channel(&target, world.client_tls()).lazy().unwrap();
    let client = crate::support::ProbeClient::new(channel);
    let _ = client.unary(task("a")).await;
    let authority = target.strip_prefix("https://").unwrap().to_owned();
    assert_eq!(served.await.unwrap(), Some(("https".to_owned(), authority)));
}

#[tokio::test]
async fn a_server_that_does_not_agree_to_http2_is_refused() {
    let world = World::new();
    for protocols in [&[][..], &["http/1.1"]] {
        let certified = world.authority.issue(&[NAME]);
        let (target, _served) = serve_one(certified, protocols, ALL_VERSIONS).await;
        let channel = channel(&target, world.client_tls()).connect().await;
        let message = refused(channel);
        assert!(
            message.contains("did not agree to HTTP/2 by ALPN"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let world = World::new();
    let certified = world.authority.issue(&[NAME]);
    let (target, _served) = serve_one(certified, &["h2"], &[&rustls::version::TLS12]).await;
    let tls = world.client_tls().min_version(TlsVersion::Tls13);
    let message = refused(channel(&target, tls).connect().await);
    assert!(message.contains("ClientTls::min_version"), "{message}");
}

/// How the connection of a client with these protocols in ALPN ends.
async fn connect(
    authority: &Authority,
    target: &str,
    protocols: &[&str],
) -> std::io::Result<usize> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let address = target.strip_prefix("https://").unwrap();
    let io = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut io = connector.connect(NAME.try_into().unwrap(), io).await?;
    io.read(&mut [0; 1024]).await
}

#[tokio::test]
async fn a_client_that_does_not_offer_http2_is_not_served() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    // Without ALPN, the handshake succeeds, and the connection ends before a word.
    let ended = connect(&world.authority, &server.target, &[]).await;
    assert_eq!(ended.unwrap(), 0);
    let refused = connect(&world.authority, &server.target, &["http/1.1"]).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let served = connect(&world.authority, &server.target, &["http/1.1", "h2"]).await;
    assert_ne!(served.unwrap(), 0);
}
