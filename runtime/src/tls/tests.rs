//! What is refused when TLS is built, and files that change.

use std::{fs, path::Path, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio_rustls::{client, server};
use tonic::{Code, Status};
use wireloom_peer::{Authority, CertifiedFiles};

use super::{
    Acceptor, Alpn, ClientCertificates, ClientTls, Connector, Identity, PeerIdentity, Roots,
    ServerTls, TlsVersion,
};

const NAME: &str = "greeter.test";

struct World {
    folder: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            authority: Authority::new("the authority"),
        }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn server_files(&self) -> CertifiedFiles {
        let certified = self.authority.issue(&[NAME]);
        certified.write(self.folder.path(), "server")
    }

    fn server(&self) -> ServerTls {
        let certified = self.authority.issue(&[NAME]);
        ServerTls::new(Identity::pem(certified.chain, certified.key))
    }

    fn client(&self) -> ClientTls {
        ClientTls::new().roots(Roots::pem(self.authority.pem()))
    }
}

type Both = (
    Result<client::TlsStream<DuplexStream>, Status>,
    Result<(server::TlsStream<DuplexStream>, Option<PeerIdentity>), String>,
);

/// Shakes hands over memory.
async fn shake(client: &Connector, server: &Acceptor) -> Both {
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::join!(client.connect(near), server.accept(far))
}

fn refusal(tls: ServerTls) -> String {
    let status = tls.acceptor(Alpn::Http2).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    status.message().to_owned()
}

fn of(files: &CertifiedFiles) -> ServerTls {
    ServerTls::new(Identity::files(&files.chain, &files.key))
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let world = World::new();
    let files = world.server_files();
    let missing = world.folder.path().join("missing.pem");
    let message = refusal(ServerTls::new(Identity::files(&missing, &files.key)));
    assert!(message.contains("missing.pem: No such file"), "{message}");

    let roots = ClientTls::new().roots(Roots::file(&missing));
    let status = roots.connector(NAME).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("missing.pem"), "{status}");
}

#[test]
fn files_that_hold_something_else_are_named_with_what_they_should_hold() {
    let world = World::new();
    let files = world.server_files();
    let (chain, key) = (&files.chain, &files.key);
    let empty = &world.file("empty.pem", "");
    let cut = fs::read_to_string(chain).unwrap();
    let cut = &world.file("cut.pem", &cut[..cut.len() / 2]);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = &world.file("encrypted.key", encrypted);
    let cases: [(&Path, &Path, [&str; 2]); 5] = [
        (empty, key, ["empty.pem", "BEGIN CERTIFICATE"]),
        (cut, key, ["cut.pem", "no valid PEM"]),
        (chain, empty, ["empty.pem", "BEGIN PRIVATE KEY"]),
        (chain, encrypted, ["encrypted.key", "decrypt it"]),
        (chain, chain, ["server.pem", "no private key"]),
    ];
    for (chain, key, words) in cases {
        let message = refusal(ServerTls::new(Identity::files(chain, key)));
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_names() {
    let world = World::new();
    let files = world.server_files();
    let other = world
        .authority
        .issue(&[NAME])
        .write(world.folder.path(), "other");
    let message = refusal(ServerTls::new(Identity::files(&files.chain, &other.key)));
    assert!(
        message.contains("other.key is not that of the first certificate in"),
        "{message}"
    );
}

#[test]
fn roots_without_a_certificate_are_refused() {
    let world = World::new();
    let certificates = [
        ClientCertificates::Required(Roots::pem("nothing")),
        ClientCertificates::Optional(Roots::pem("nothing")),
    ];
    for certificates in certificates {
        let message = refusal(world.server().client_certificates(certificates));
        assert!(
            message.contains("the PEM text given (7 bytes)"),
            "{message}"
        );
    }
}

#[test]
fn a_server_name_that_no_certificate_can_be_for_is_refused() {
    let status = World::new().client().server_name("a b").connector(NAME);
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("\"a b\""), "{status}");
}

#[test]
fn keys_are_not_shown() {
    let certified = Authority::new("a").issue(&[NAME]);
    let tls = ServerTls::new(Identity::pem(&certified.chain, &certified.key));
    let shown = format!("{tls:?}");
    assert!(
        !shown.contains("BEGIN") && shown.contains("bytes"),
        "{shown}"
    );
}

/// Whether a client that speaks nothing newer than TLS 1.2 gets to the server.
async fn tls_1_2_is_let_in(world: &World, server: ServerTls) -> bool {
    let certificate = CertificateDer::from_pem_slice(world.authority.pem().as_bytes());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![super::H2.to_vec()];
    let client = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let server = server.acceptor(Alpn::Http2).unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let connected = client.connect(NAME.try_into().unwrap(), near);
    tokio::join!(connected, server.accept(far)).0.is_ok()
}

#[tokio::test]
async fn a_version_older_than_the_oldest_allowed_is_refused() {
    let world = World::new();
    assert!(tls_1_2_is_let_in(&world, world.server()).await);
    let server = world.server().min_version(TlsVersion::Tls13);
    assert!(!tls_1_2_is_let_in(&world, server).await);
}

#[tokio::test]
async fn a_client_is_known_by_what_its_certificate_says() {
    let world = World::new();
    let certified = world
        .authority
        .issue(&["client.test", "spiffe://test/client"]);
    let identity = Identity::pem(certified.chain, certified.key);
    let client = world.client().identity(identity).connector(NAME).unwrap();
    let roots = Roots::pem(world.authority.pem());
    let server = world.server();
    let server = server.client_certificates(ClientCertificates::Required(roots));
    let (_client, served) = shake(&client, &server.acceptor(Alpn::Http2).unwrap()).await;
    let peer = served.unwrap().1.unwrap();
    assert_eq!(peer.dns_names().collect::<Vec<_>>(), ["client.test"]);
    assert_eq!(peer.uris().collect::<Vec<_>>(), ["spiffe://test/client"]);
    assert_eq!(peer.certificates().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_is_ended() {
    let server = World::new()
        .server()
        .handshake_timeout(Duration::from_secs(3));
    let server = server.acceptor(Alpn::Http2).unwrap();
    let (_silent, far) = tokio::io::duplex(1024);
    let begun = tokio::time::Instant::now();
    let ended = server.accept(far).await.unwrap_err();
    assert_eq!(ended, "no handshake within 3s");
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

/// Whether a client that trusts this authority gets to the server.
async fn trusts(authority: &Authority, server: &Acceptor) -> bool {
    let client = ClientTls::new().roots(Roots::pem(authority.pem()));
    let client = client.connector(NAME).unwrap();
    shake(&client, server).await.0.is_ok()
}

#[tokio::test(start_paused = true)]
async fn files_that_changed_are_used_from_the_next_look_on() {
    let world = World::new();
    let server = of(&world.server_files()).reload_interval(Duration::from_secs(60));
    let server = server.acceptor(Alpn::Http2).unwrap();
    let new = Authority::new("the new authority");
    new.issue(&[NAME]).write(world.folder.path(), "server");

    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(trusts(&world.authority, &server).await, "it looked early");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(trusts(&new, &server).await, "it did not look");
    assert!(!trusts(&world.authority, &server).await);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_broke_leaves_the_last_good_one_until_it_is_mended() {
    let world = World::new();
    let files = world.server_files();
    let interval = Duration::from_secs(60);
    let server = of(&files)
        .reload_interval(interval)
        .acceptor(Alpn::Http2)
        .unwrap();
    let new = Authority::new("the new authority");
    let certified = new.issue(&[NAME]);
    let broken = || fs::write(&files.chain, "broken").unwrap();
    let half_replaced = || fs::write(&files.chain, &certified.chain).unwrap();
    let removed = || fs::remove_file(&files.chain).unwrap();
    let steps: [&dyn Fn(); 3] = [&broken, &half_replaced, &removed];
    for step in steps {
        step();
        tokio::time::advance(interval).await;
        assert!(trusts(&world.authority, &server).await);
    }
    certified.write(world.folder.path(), "server");
    tokio::time::advance(interval).await;
    assert!(trusts(&new, &server).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_s_roots_are_read_again_too() {
    let world = World::new();
    let roots = world.file("roots.pem", Authority::new("another").pem());
    let interval = Duration::from_secs(60);
    let client = ClientTls::new().roots(Roots::file(&roots));
    let client = client.reload_interval(interval).connector(NAME).unwrap();
    let server = world.server().acceptor(Alpn::Http2).unwrap();
    let status = shake(&client, &server).await.0.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("leads to no root"), "{status}");

    world.file("roots.pem", world.authority.pem());
    tokio::time::advance(interval).await;
    shake(&client, &server).await.0.unwrap();
}
