//! Clients that prove themselves by certificates (mTLS).

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
