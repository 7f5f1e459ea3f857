//! TLS and mTLS with grpcio and grpc-js, both ways.

use std::path::PathBuf;

use wireloom::jwt::Keys;
use wireloom::tls::ClientCertificates;
use wireloom::{Authorization, BearerCredentials, Channel, Code};
use wireloom_peer::Authority;

use crate::issuer::{self, Signer};
use crate::peers::{Peer, Served, with_each_peer};
use crate::support::{ProbeClient, Setup, Task, TestServer, task};
use crate::world::{self, NAME, World, channel, identity, refused, serve};

const CLIENT: &str = "client.test";

/// Files for other programs.
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

/// Runs a check of a client against a server of ours; gives what it printed.
async fn run(peer: Peer, check: &str, server: &TestServer, files: &[&PathBuf]) -> String {
    let check = peer.check(check, &server.target).await;
    check.files(files).run().await.output
}

async fn it_calls_us_over_tls(peer: Peer) {
    let world = World::new();
    let files = Files::of(&world);
    let server = serve(world.server_tls()).await;
    for check in [
        "unary",
        "bidi_streaming",
        "server_streaming",
        "bearer_token",
    ] {
        run(peer, check, &server, &[&files.roots]).await;
    }
    assert_eq!(run(peer, "peer", &server, &[&files.roots]).await, "nobody");
}

async fn it_calls_us_over_mtls(peer: Peer) {
    let world = World::new();
    let files = Files::of(&world);
    let required = ClientCertificates::Required(world.roots());
    let server = serve(world.server_tls().client_certificates(required)).await;
    let [chain, key] = &files.client;
    let certified = [&files.roots, chain, key];
    assert_eq!(run(peer, "peer", &server, &certified).await, CLIENT);
    run(peer, "refused", &server, &[&files.roots]).await;
}

async fn it_calls_us_with_a_jwt(peer: Peer) {
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
    let check = peer.check("authorization", &server.target).await;
    let token = signer.token(&issuer::claims());
    check.token(&token).files(&[&files.roots]).run().await;
}

async fn it_does_not_call_a_server_of_ours_that_it_does_not_trust(peer: Peer) {
    let world = World::new();
    let files = Files::of(&world);
    let other = Authority::new("another").issue(&[NAME]);
    let server = serve(world::server_tls(&other)).await;
    run(peer, "refused", &server, &[&files.roots]).await;
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
    it_calls_us_over_tls,
    it_calls_us_over_mtls,
    it_calls_us_with_a_jwt,
    it_does_not_call_a_server_of_ours_that_it_does_not_trust,
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
