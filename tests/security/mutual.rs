//! Clients that prove themselves by certificates (mTLS).

use std::time::Duration;

use wireloom::Code;
use wireloom::server::Listener;
use wireloom::tls::ClientCertificates;
use wireloom_peer::Authority;

use crate::support::TestServer;
use crate::world::{World, client, identity, peer, refusal, serve};

async fn serve_with(world: &World, certificates: ClientCertificates) -> TestServer {
    serve(world.server_tls().client_certificates(certificates)).await
}

#[tokio::test]
async fn a_handler_sees_who_calls() {
    let world = World::new();
    let server = serve_with(&world, ClientCertificates::Required(world.roots())).await;
    let names = ["billing.test", "spiffe://test/billing"];
    let certified = world.authority.issue(&names);
    let tls = world.client_tls().identity(identity(&certified));
    let client = client(&server, tls).await.unwrap();
    assert_eq!(peer(&client).await, names.join(" "));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_told_to_have_one() {
    let world = World::new();
    let server = serve_with(&world, ClientCertificates::Required(world.roots())).await;
    let message = refusal(&server, world.client_tls()).await;
    assert!(
        message.contains("the server refused the TLS connection"),
        "{message}"
    );
    assert!(message.contains("ClientTls::identity"), "{message}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let world = World::new();
    let certified = Authority::new("another").issue(&["billing.test"]);
    let expired = world.authority.issue_expired(&["billing.test"]);
    let certificates = [
        ClientCertificates::Required(world.roots()),
        ClientCertificates::Optional(world.roots()),
    ];
    for certificates in certificates {
        let server = serve_with(&world, certificates).await;
        for certified in [&certified, &expired] {
            let tls = world.client_tls().identity(identity(certified));
            let message = refusal(&server, tls).await;
            assert!(
                message.contains("the server refused the TLS connection"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn a_certificate_may_be_optional() {
    let world = World::new();
    let server = serve_with(&world, ClientCertificates::Optional(world.roots())).await;
    let anonymous = client(&server, world.client_tls()).await.unwrap();
    assert_eq!(peer(&anonymous).await, "nobody");
    let certified = world.authority.issue(&["billing.test"]);
    let tls = world.client_tls().identity(identity(&certified));
    let known = client(&server, tls).await.unwrap();
    assert_eq!(peer(&known).await, "billing.test");
}

#[tokio::test]
async fn a_certificate_that_is_not_asked_for_is_not_shown() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let certified = world.authority.issue(&["billing.test"]);
    let tls = world.client_tls().identity(identity(&certified));
    let client = client(&server, tls).await.unwrap();
    assert_eq!(peer(&client).await, "nobody");
}

#[tokio::test]
async fn a_certificate_that_is_revoked_is_refused_once_the_list_says_so() {
    let world = World::new();
    let (good, stolen) = (["good.test"], ["stolen.test"]);
    let (good, stolen) = (world.authority.issue(&good), world.authority.issue(&stolen));
    let other = Authority::new("another");
    let other_s = other.issue(&["other.test"]);
    let path = world.path().join("revoked.pem");
    std::fs::write(&path, world.authority.revocation_list(&[])).unwrap();
    let roots = world.roots().and(wireloom::tls::Roots::pem(other.pem()));
    let tls = world
        .server_tls()
        .client_certificates(ClientCertificates::Required(roots))
        .revocation_lists(&path)
        .reload_interval(Duration::ZERO);
    let server = serve(tls).await;
    let tls = |certified| world.client_tls().identity(identity(certified));
    client(&server, tls(&stolen)).await.unwrap();

    let list = world.authority.revocation_list(&[&stolen]);
    std::fs::write(&path, list).unwrap();
    let message = refusal(&server, tls(&stolen)).await;
    assert!(
        message.contains("the server refused the TLS connection"),
        "{message}"
    );
    let known = client(&server, tls(&good)).await.unwrap();
    assert_eq!(peer(&known).await, "good.test");
    // Its issuer has no list.
    let known = client(&server, tls(&other_s)).await.unwrap();
    assert_eq!(peer(&known).await, "other.test");
}

#[tokio::test]
async fn revocation_lists_that_cannot_be_used_fail_the_start() {
    let world = World::new();
    let path = world.path().join("revoked.pem");
    let refused = async |tls| {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let status = wireloom::Server::builder().tls(tls).serve(listener).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().to_owned()
    };
    let required = || {
        let required = ClientCertificates::Required(world.roots());
        world.server_tls().client_certificates(required)
    };
    let missing = refused(required().revocation_lists(&path)).await;
    assert!(missing.contains("revoked.pem"), "{missing}");
    std::fs::write(&path, world.authority.pem()).unwrap();
    let none = refused(required().revocation_lists(&path)).await;
    assert!(none.contains("no revocation list"), "{none}");
    let useless = refused(world.server_tls().revocation_lists(&path)).await;
    assert!(useless.contains("client_certificates"), "{useless}");
}
