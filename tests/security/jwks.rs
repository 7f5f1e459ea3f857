//! Keys of tokens that change: in a file, and at an issuer's HTTPS server.

use std::fs;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use wireloom::jwt::{JwtAuthenticator, Keys};
use wireloom::tls::Roots;
use wireloom::{Authorization, Code, Server, Status};

use crate::issuer::{Answers, Publisher, Signer, claims, jwks, tokens};
use crate::vault::{VaultClient, serve, with};
use crate::warnings::Warnings;

async fn serve_with(keys: Keys) -> VaultClient {
    let server = Server::builder()
        .authenticator(tokens(keys).build().unwrap())
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public);
    serve(server).await
}

async fn enter(client: &VaultClient, signer: &Signer) -> Result<(), Status> {
    let bearer = format!("Bearer {}", signer.token(&claims()));
    client.enter(with(&bearer)).await.map(drop)
}

async fn assert_refused(client: &VaultClient, signer: &Signer) {
    let status = enter(client, signer).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}

fn keys_of(publisher: &Publisher) -> Keys {
    Keys::url(&publisher.url)
        .roots(Roots::pem(publisher.authority.pem()))
        .refresh_interval(Duration::from_secs(600))
}

/// Lets time pass for the keys, and for nothing else.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_key_that_is_new_at_the_issuer_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let publisher = Publisher::start(Answers::Document(jwks(&[&old]))).await;
    let client = serve_with(keys_of(&publisher)).await;
    assert_eq!(publisher.requests(), 0);
    for _ in 0..3 {
        enter(&client, &old).await.unwrap();
    }
    assert_eq!(publisher.requests(), 1);

    publisher.publish(&[&new]);
    for _ in 0..3 {
        // Unknown keys do not make the server ask more often than once in ten seconds.
        assert_refused(&client, &new).await;
    }
    assert_eq!(publisher.requests(), 1);
    pass(10).await;
    enter(&client, &new).await.unwrap();
    // What was verified by a key that is gone is not remembered.
    assert_refused(&client, &old).await;
    assert_eq!(publisher.requests(), 2);
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_where_keys_and_tokens_have_no_names() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let unnamed = |signer: &Signer| {
        let mut jwk = signer.jwk();
        jwk.common.key_id = None;
        Answers::Document(json!({ "keys": [jwk] }).to_string())
    };
    for names_its_key in [false, true] {
        let bearer = |signer: &Signer| {
            let mut header = signer.header();
            header.kid = header.kid.filter(|_| names_its_key);
            let token = jsonwebtoken::encode(&header, &claims(), &signer.key);
            with(&format!("Bearer {}", token.unwrap()))
        };
        let publisher = Publisher::start(unnamed(&old)).await;
        let client = serve_with(keys_of(&publisher)).await;
        client.enter(bearer(&old)).await.unwrap();

        publisher.answer(unnamed(&new));
        pass(10).await;
        client.enter(bearer(&new)).await.unwrap();
        assert!(client.enter(bearer(&old)).await.is_err());
        assert_eq!(publisher.requests(), 2);
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_keeps_nobody_out_who_has_the_token_of_another() {
    let signer = Signer::ec("a");
    let away = Publisher::start(Answers::Nothing).await;
    let of_one_that_is_away = JwtAuthenticator::builder(keys_of(&away))
        .issuer("https://away.test")
        .audience(crate::issuer::AUDIENCE);
    let server = Server::builder()
        .authenticator(of_one_that_is_away.build().unwrap())
        .authenticator(tokens(Keys::jwks(jwks(&[&signer]))).build().unwrap())
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public);
    let client = serve(server).await;
    let bearer = format!("Bearer {}", signer.token(&claims()));
    for _ in 0..2 {
        let call = client.enter(with(&bearer)).timeout(Duration::from_secs(5));
        call.await.unwrap();
    }
    assert_eq!(away.requests(), 0);
}

#[tokio::test]
async fn keys_that_are_old_are_fetched_again_and_those_before_stay_where_that_fails() {
    let (warnings, _listening) = Warnings::listen();

    let signer = Signer::ec("a");
    let publisher = Publisher::start(Answers::Document(jwks(&[&signer]))).await;
    let client = serve_with(keys_of(&publisher)).await;
    enter(&client, &signer).await.unwrap();
    warnings.take();

    let failures = [
        Answers::Status(500),
        Answers::Document("<html>".to_owned()),
        Answers::Document("{\"keys\":[]}".to_owned()),
    ];
    for (at, failure) in failures.into_iter().enumerate() {
        publisher.answer(failure);
        // A fetch may still be under way, and then no other begins.
        while publisher.requests() < at + 2 {
            pass(1200).await;
            enter(&client, &signer).await.unwrap();
        }
    }
    let told = warnings.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("those before stay in use"), "{told:?}");

    let new = Signer::ec("new");
    publisher.publish(&[&new]);
    let taken = async {
        while enter(&client, &new).await.is_err() {
            pass(10).await;
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(3600), taken).await;
    taken.expect("the new key is taken once it is fetched");
}

#[tokio::test]
async fn without_keys_from_the_start_calls_with_tokens_are_unavailable_until_there_are_some() {
    let signer = Signer::ec("a");
    let publisher = Publisher::start(Answers::Status(503)).await;
    let client = serve_with(keys_of(&publisher)).await;
    for _ in 0..2 {
        let status = enter(&client, &signer).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(!status.message().contains("127.0.0.1"), "{status}");
    }
    assert_eq!(publisher.requests(), 1);
    // What needs no token is not kept from anyone.
    client.hours(crate::vault::Nothing {}).await.unwrap();

    publisher.publish(&[&signer]);
    pass(10).await;
    enter(&client, &signer).await.unwrap();
}

#[tokio::test]
async fn a_call_waits_for_keys_no_longer_than_its_deadline() {
    let signer = Signer::ec("a");
    let publisher = Publisher::start(Answers::Nothing).await;
    let client = serve_with(keys_of(&publisher)).await;
    let bearer = format!("Bearer {}", signer.token(&claims()));
    let call = client.enter(with(&bearer));
    let status = call.timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn an_issuer_that_its_certificate_does_not_prove_gives_no_keys() {
    let signer = Signer::ec("a");
    let publisher = Publisher::start(Answers::Document(jwks(&[&signer]))).await;
    let other = wireloom_peer::Authority::new("another");
    let client = serve_with(keys_of(&publisher).roots(Roots::pem(other.pem()))).await;
    let status = enter(&client, &signer).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(publisher.requests(), 0);
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    fs::write(&path, jwks(&[&old])).unwrap();
    let client = serve_with(Keys::file(&path).refresh_interval(Duration::ZERO)).await;
    enter(&client, &old).await.unwrap();
    fs::write(&path, "broken").unwrap();
    enter(&client, &old).await.unwrap();
    fs::write(&path, jwks(&[&new])).unwrap();
    enter(&client, &new).await.unwrap();
    assert_refused(&client, &old).await;
}

#[tokio::test]
async fn a_key_that_is_too_large_to_verify_by_is_warned_of() {
    let (warnings, _listening) = Warnings::listen();
    for (bytes, is_warned_of) in [(512, false), (516, true)] {
        let modulus = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let key = json!({"kty": "RSA", "e": "AQAB", "n": modulus});
        let tokens = tokens(Keys::jwks(json!({"keys": [key]}).to_string()));
        tokens.build().unwrap();
        let warnings = warnings.take();
        let is_told = warnings.iter().any(|warning| warning.contains("4096 bits"));
        assert_eq!(is_told, is_warned_of, "{bytes}: {warnings:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_too_large_is_warned_of_once() {
    let (warnings, _listening) = Warnings::listen();
    let modulus = URL_SAFE_NO_PAD.encode(vec![0xff; 516]);
    let large = |name: &str| json!({"kty": "RSA", "kid": name, "e": "AQAB", "n": modulus});
    let document = |signer: &Signer, large: &[serde_json::Value]| {
        let mut keys = vec![json!(signer.jwk())];
        keys.extend_from_slice(large);
        Answers::Document(json!({ "keys": keys }).to_string())
    };
    let signers = ["a", "b", "c"].map(Signer::ec);
    let publisher = Publisher::start(document(&signers[0], &[large("large")])).await;
    let client = serve_with(keys_of(&publisher)).await;
    let mut told = Vec::new();
    for (signer, large) in signers.iter().zip([
        vec![large("large")],
        vec![large("large")],
        vec![large("large"), large("another")],
    ]) {
        publisher.answer(document(signer, &large));
        enter(&client, signer).await.unwrap();
        let warnings = warnings.take();
        let of_keys = warnings.iter().filter(|line| line.contains("4096 bits"));
        told.push(of_keys.count());
        pass(10).await;
    }
    assert_eq!(told, [1, 0, 1]);
    assert_eq!(publisher.requests(), 3);
}
