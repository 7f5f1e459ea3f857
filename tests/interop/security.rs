//! TLS and mTLS with grpcio, both ways, and with servers of grpc-js.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use wireloom::jwt::Keys;
use wireloom::tls::ClientCertificates;
use wireloom::{Authorization, BearerCredentials, Channel, Code};
use wireloom_peer::Authority;

use crate::issuer::{self, Signer};
use crate::peers::{Peer, Served, with_each_peer};
use crate::python::Python;
use crate::support::{ProbeClient, Setup, Task, TestServer, task};
use crate::world::{self, NAME, World, channel, identity, refused, serve};

const CLIENT: &str = "client.test";

/// Files for Python's programs.
struct Files {
    roots: PathBuf,
    server: [PathBuf; 2],
    client: [PathBuf; 2],
}

impl Files {
    fn of(world: &World) -> Self {
        let roots = world.path().join("roots.pem");
        std::fs::write(&roots, world.authority.pem()).unwrap();
        let issue = |name: &str, file: &str| {
            let files = world.authority.issue(&[name]).write(world.path(), file);
            [files.chain, files.key]
        };
        Self {
            roots,
            server: issue(NAME, "server"),
            client: issue(CLIENT, "client"),
        }
    }
}

/// Runs a check of `client.py` against a server of ours.
async fn run(check: &str, server: &TestServer, files: &[&PathBuf]) -> Output {
    run_with("", check, server, files).await
}

/// The same with a bearer token.
async fn run_with(token: &str, check: &str, server: &TestServer, files: &[&PathBuf]) -> Output {
    let python = Python::new().await;
    let target = server.target.strip_prefix("https://").unwrap();
    let mut program = python.program("client.py");
    let program = program.args([target, check]).args(files);
    program.env("TOKEN", token);
    program.stderr(Stdio::piped()).output().await.unwrap()
}

fn printed(output: &Output) -> &str {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_calls_our_server_over_tls() {
    let world = World::new();
    let files = Files::of(&world);
    let server = serve(world.server_tls()).await;
    for check in [
        "unary",
        "bidi_streaming",
        "server_streaming",
        "bearer_token",
    ] {
        printed(&run(check, &server, &[&files.roots]).await);
    }
    assert_eq!(
        printed(&run("peer", &server, &[&files.roots]).await),
        "nobody"
    );
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_calls_our_server_over_mtls() {
    let world = World::new();
    let files = Files::of(&world);
    let required = ClientCertificates::Required(world.roots());
    let server = serve(world.server_tls().client_certificates(required)).await;
    let [chain, key] = &files.client;
    let output = run("peer", &server, &[&files.roots, chain, key]).await;
    assert_eq!(printed(&output), CLIENT);
    printed(&run("refused", &server, &[&files.roots]).await);
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_calls_our_server_with_a_jwt() {
    let world = World::new();
    let files = Files::of(&world);
    let signer = Signer::rsa("r");
    let tokens = issuer::tokens(Keys::jwks(issuer::jwks(&[&signer])));
    let setup = Setup {
        server: wireloom::Server::builder()
            .tls(world.server_tls())
            .authenticator(tokens.build().unwrap())
            .authorization("probe.Probe", Authorization::Public)
            .authorization("probe.Probe/Unary", Authorization::scopes(&["vault.read"]))
            .authorization("probe.Probe/Retried", Authorization::scopes(&["other"])),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    server.target = world::https(&server.target);
    let token = signer.token(&issuer::claims());
    printed(&run_with(&token, "authorization", &server, &[&files.roots]).await);
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_does_not_call_a_server_of_ours_that_it_does_not_trust() {
    let world = World::new();
    let files = Files::of(&world);
    let other = Authority::new("another").issue(&[NAME]);
    let server = serve(world::server_tls(&other)).await;
    printed(&run("refused", &server, &[&files.roots]).await);
}

struct Server {
    _served: Served,
    target: String,
}

async fn serve_peer(peer: Peer, files: &[&PathBuf]) -> Server {
    let served = peer.serve("NoCompression", files).await;
    Server {
        target: format!("https://127.0.0.1:{}", served.port),
        _served: served,
    }
}

with_each_peer!(
    we_call_it_over_tls,
    we_call_it_over_mtls,
    neither_side_takes_the_other_for_one_in_plaintext,
);

async fn we_call_it_over_tls(peer: Peer) {
    let world = World::new();
    let [chain, key] = &Files::of(&world).server;
    let server = serve_peer(peer, &[chain, key]).await;
    let channel = channel(&server.target, world.client_tls());
    let channel = channel.credentials(BearerCredentials::fixed("secret"));
    let client = ProbeClient::new(channel.connect().await.unwrap());
    let response = client.unary(task("a")).await.unwrap();
    assert_eq!(response.metadata().get("token").unwrap(), "Bearer secret");
    let call = client.server_stream(Task {
        count: 1000,
        ..task("a")
    });
    let mut outcomes = call.await.unwrap().into_inner();
    for index in 0..1000 {
        assert_eq!(outcomes.message().await.unwrap().unwrap().index, index);
    }
}

async fn we_call_it_over_mtls(peer: Peer) {
    let world = World::new();
    let files = Files::of(&world);
    let [chain, key] = &files.server;
    let server = serve_peer(peer, &[chain, key, &files.roots]).await;
    let certified = world.authority.issue(&[CLIENT]);
    let tls = world.client_tls().identity(identity(&certified));
    let known = channel(&server.target, tls).connect().await.unwrap();
    assert_eq!(world::peer(&ProbeClient::new(known)).await, CLIENT);

    let anonymous = channel(&server.target, world.client_tls()).connect().await;
    refused(anonymous);
}

async fn neither_side_takes_the_other_for_one_in_plaintext(peer: Peer) {
    let world = World::new();
    let [chain, key] = &Files::of(&world).server;
    let server = serve_peer(peer, &[chain, key]).await;
    let plaintext = server.target.replace("https://", "http://");
    let message = refused(Channel::connect(&plaintext).await);
    assert!(message.contains("is called by https://"), "{message}");

    let server = serve_peer(peer, &[]).await;
    let tls = channel(&server.target, world.client_tls()).lazy().unwrap();
    let status = ProbeClient::new(tls).unary(task("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("plaintext"), "{status}");
}
