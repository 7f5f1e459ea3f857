//! Call credentials over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use wireloom::{BearerCredentials, BearerToken, Channel, Code, Status};

use crate::support::{ProbeClient, Setup, TestServer, serve as serve_plaintext, task};
use crate::world::{World, channel, serve};

/// The token that a server got.
async fn token(client: &ProbeClient) -> Result<String, Status> {
    let response = client.unary(task("a")).no_retry().await?;
    let token = response.metadata().get("token").unwrap();
    Ok(token.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_goes_over_tls() {
    let world = World::new();
    let server = serve(world.server_tls()).await;
    let fetches = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&fetches);
    let credentials = BearerCredentials::fetched(move || {
        let token = format!("token {}", counted.fetch_add(1, Relaxed));
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Status>(BearerToken::new(token).expires_in(Duration::from_secs(3600)))
        }
    });
    let channel = channel(&server.target, world.client_tls()).credentials(credentials);
    let client = ProbeClient::new(channel.connect().await.unwrap());
    let (one, other) = tokio::join!(token(&client), token(&client));
    assert_eq!([one.unwrap(), other.unwrap()], ["Bearer token 0"; 2]);
    assert_eq!(token(&client).await.unwrap(), "Bearer token 0");
    assert_eq!(fetches.load(Relaxed), 1);
}

#[tokio::test]
async fn a_call_s_token_does_not_go_in_plaintext() {
    let (mut server, client) = serve_plaintext().await;
    let call = client.unary(task("a"));
    let call = call.credentials(BearerCredentials::fixed("secret"));
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("https://"), "{status}");
    client.unary(task("b")).await.unwrap();
    let event = server.event().await;
    assert_eq!(event, crate::support::Event::Started("b".into()));
}

#[tokio::test]
async fn a_token_goes_in_plaintext_where_that_is_allowed_and_over_unix_sockets() {
    let (server, _) = serve_plaintext().await;
    let channel = Channel::builder(&server.target).allow_insecure_credentials();
    let channel = channel.connect().await.unwrap();
    let call = ProbeClient::new(channel).unary(task("a"));
    call.credentials(BearerCredentials::fixed("secret"))
        .await
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        address: format!("unix:{}", folder.path().join("probe.sock").display()),
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let call = server.client().await.unary(task("a"));
    call.credentials(BearerCredentials::fixed("secret"))
        .await
        .unwrap();
}
