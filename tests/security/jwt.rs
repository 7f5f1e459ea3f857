//! Bearer tokens that are JWTs, good ones and attacks.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wireloom::jwt::{Claims, JwtAuthenticator, JwtBuilder, Keys};
use wireloom::{Authorization, Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::issuer::{self, RSA_PUBLIC_KEY, Signer, claims, jwks, now, tokens};
use crate::vault::{Nothing, VaultClient, serve, with};

fn server(tokens: JwtBuilder) -> Server {
    let open = Authorization::Public;
    Server::builder()
        // What is too large is the verifier's to say here.
        .max_header_list_size(64 << 10)
        .authenticator(tokens.build().unwrap())
        // This server takes no client certificates.
        .authorization("guarded.Vault/Bill", open)
        .authorization("guarded.Vault/Move", open)
}

async fn serve_with(tokens: JwtBuilder) -> VaultClient {
    serve(server(tokens)).await
}

async fn enter(client: &VaultClient, authorization: &str) -> Result<String, Status> {
    let entered = client.enter(with(authorization)).await;
    entered.map(|response| response.into_inner().subject)
}

async fn assert_refused(client: &VaultClient, name: &str, authorization: &str, why: &str) {
    let status = enter(client, authorization).await.expect_err(name);
    assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status}");
    let message = status.message();
    assert!(message.contains(why), "{name}: {message}");
    // Neither what was sent nor what is expected is for everyone to read.
    for secret in ["eyJ", issuer::NAME, "alice"] {
        assert!(!message.contains(secret), "{name}: {message}");
    }
}

/// Claims with one that is different; null takes it out.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    match value {
        Value::Null => object.remove(name),
        value => object.insert(name.to_owned(), value),
    };
    claims
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

#[tokio::test]
async fn a_handler_and_an_interceptor_see_whose_token_it_is() {
    /// Answers with the claim `tenant`.
    struct TellsTenant;

    impl Interceptor for TellsTenant {
        async fn intercept(
            &self,
            call: InterceptedCall,
            next: Next<'_>,
        ) -> Result<Response<()>, Status> {
            let claims = call.extensions().get::<Claims>().cloned().unwrap();
            let mut response = next.run(call).await?;
            let tenant = claims.get("tenant").unwrap().as_str().unwrap();
            response
                .metadata_mut()
                .insert("tenant", tenant.parse().unwrap());
            Ok(response)
        }
    }

    let signer = Signer::ec("a");
    let server = server(tokens(Keys::jwks(jwks(&[&signer])))).interceptor(TellsTenant);
    let client = serve(server).await;
    let token = signer.token(&claims_but("tenant", json!("blue")));
    // The second time, it is one that has been verified.
    for _ in 0..2 {
        let response = client
            .enter(with(&format!("Bearer {token}")))
            .await
            .unwrap();
        assert_eq!(response.metadata().get("tenant").unwrap(), "blue");
        let caller = response.into_inner();
        assert_eq!(caller.subject, "alice");
        assert_eq!(caller.scopes, ["vault.read", "vault.write"]);
    }
}

#[tokio::test]
async fn tokens_as_they_may_be_are_taken() {
    let signer = Signer::ec("a");
    let client = serve_with(tokens(Keys::jwks(jwks(&[&signer])))).await;
    let token = signer.token(&claims());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let entered = enter(&client, &format!("{scheme} {token}")).await;
        assert_eq!(entered.unwrap(), "alice", "{scheme}");
    }
    for (name, value) in [
        ("aud", json!(["other", "vault"])),
        ("nbf", json!(now() - 5)),
        ("nbf", json!(now() + 30)),
        ("exp", json!(now() - 30)),
        ("exp", json!((now() + 30) as f64 + 0.5)),
        ("scp", json!(["a", "b"])),
    ] {
        let token = signer.token(&claims_but(name, value.clone()));
        let entered = enter(&client, &format!("Bearer {token}")).await;
        assert_eq!(entered.unwrap(), "alice", "{name} {value}");
    }
    for kind in ["at+jwt", "application/at+jwt", "jwt"] {
        let mut header = signer.header();
        header.typ = Some(kind.to_owned());
        let token = jsonwebtoken::encode(&header, &claims(), &signer.key).unwrap();
        enter(&client, &format!("Bearer {token}")).await.unwrap();
    }
}

#[tokio::test]
async fn claims_that_are_not_for_this_server_are_refused() {
    let signer = Signer::ec("a");
    let client = serve_with(tokens(Keys::jwks(jwks(&[&signer])))).await;
    for (name, value, why) in [
        ("exp", json!(now() - 61), "expired"),
        // The skew of a minute ends in this second, and nothing is valid on its `exp`.
        ("exp", json!(now() - 60), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", Value::Null, "missing"),
        ("exp", json!("tomorrow"), "missing or malformed"),
        ("exp", json!(-1), "missing or malformed"),
        ("exp", json!(1e300), "missing or malformed"),
        ("nbf", json!(now() + 90), "not valid yet"),
        ("nbf", json!("now"), "missing or malformed"),
        ("aud", json!("other"), "audience"),
        ("aud", json!(["other", "another"]), "audience"),
        ("aud", json!([]), "audience"),
        ("aud", json!("VAULT"), "audience"),
        ("aud", Value::Null, "missing"),
        ("iss", json!("https://issuer.test"), "issuer"),
        ("iss", json!("https://issuer.test//"), "issuer"),
        ("iss", json!("http://issuer.test/"), "issuer"),
        ("iss", json!(7), "missing or malformed"),
        ("iss", Value::Null, "missing"),
    ] {
        let token = signer.token(&claims_but(name, value.clone()));
        let case = format!("{name} {value}");
        assert_refused(&client, &case, &format!("Bearer {token}"), why).await;
    }
}

#[tokio::test]
async fn tokens_that_the_issuer_did_not_make_are_refused() {
    let (signer, rsa) = (Signer::ec("a"), Signer::rsa("r"));
    let client = serve_with(tokens(Keys::jwks(jwks(&[&signer, &rsa])))).await;
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    enter(&client, &format!("Bearer {good}")).await.unwrap();

    // The public key is known to all: it must not be good as a secret.
    let confused = |header: Header, secret: &[u8]| {
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
    };
    let hmac = |id: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.to_owned());
        header
    };
    let named = |id: Option<&str>, signer: &Signer| {
        let mut header = signer.header();
        header.kid = id.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims(), &signer.key).unwrap()
    };
    let with_header = |header: Value| format!("{}.{payload}.{signature}", part(&header));
    let admin = part(&claims_but("sub", json!("admin")));
    let own_jwk = {
        let attacker = Signer::ec("a");
        let mut header = attacker.header();
        header.jwk = Some(attacker.jwk());
        jsonwebtoken::encode(&header, &claims(), &attacker.key).unwrap()
    };
    let critical = {
        let mut header = signer.header();
        header.crit = Some(vec!["exp".to_owned()]);
        jsonwebtoken::encode(&header, &claims(), &signer.key).unwrap()
    };
    let typed = {
        let mut header = signer.header();
        header.typ = Some("logout+jwt".to_owned());
        jsonwebtoken::encode(&header, &claims(), &signer.key).unwrap()
    };
    let (key, malformed) = ("its key or signature", "malformed");
    for (name, token, why) in [
        ("alg none", with_header(json!({"alg": "none"})), malformed),
        (
            "alg None",
            with_header(json!({"alg": "None", "kid": "a"})),
            malformed,
        ),
        ("no alg", with_header(json!({"kid": "a"})), malformed),
        (
            "none, no signature",
            format!("{}.{payload}.", part(&json!({"alg": "none"}))),
            malformed,
        ),
        (
            "HS256 with the public key",
            confused(hmac("r"), RSA_PUBLIC_KEY),
            malformed,
        ),
        (
            "HS256 with the JWK",
            confused(hmac("r"), jwks(&[&rsa]).as_bytes()),
            malformed,
        ),
        ("no signature", format!("{header}.{payload}."), key),
        (
            "another payload",
            format!("{header}.{admin}.{signature}"),
            key,
        ),
        (
            "another signature",
            format!("{header}.{payload}.{}", &signature[..84]),
            key,
        ),
        (
            "signature of zeros",
            format!("{header}.{payload}.{}", "A".repeat(86)),
            key,
        ),
        ("unknown kid", named(Some("b"), &signer), key),
        ("kid of another key", named(Some("r"), &signer), key),
        ("path as kid", named(Some("../../dev/null"), &signer), key),
        (
            "another key by the same kid",
            Signer::ec("a").token(&claims()),
            key,
        ),
        (
            "another key without a kid",
            named(None, &Signer::ec("a")),
            key,
        ),
        ("the attacker's key in the header", own_jwk, key),
        (
            "RS256 by the kid of an EC key",
            with_header(json!({"alg": "RS256", "kid": "a"})),
            key,
        ),
        ("critical extensions", critical, malformed),
        ("a logout token", typed, malformed),
        ("two parts", format!("{header}.{payload}"), malformed),
        ("four parts", format!("{good}.a"), malformed),
        (
            "five parts, as if encrypted",
            format!("{header}.a.b.c.d"),
            malformed,
        ),
        ("dots", "..".to_owned(), malformed),
        ("a word", "garbage".to_owned(), malformed),
        ("base64 of no JSON", "AAAA.AAAA.AAAA".to_owned(), malformed),
        (
            "padding",
            format!("{header}=.{payload}.{signature}"),
            malformed,
        ),
    ] {
        assert_refused(&client, name, &format!("Bearer {token}"), why).await;
    }
    // After all that, the good one still is.
    enter(&client, &format!("Bearer {good}")).await.unwrap();
    let unnamed = named(None, &signer);
    enter(&client, &format!("Bearer {unnamed}")).await.unwrap();
}

#[tokio::test]
async fn authorization_that_is_malformed_is_refused() {
    let signer = Signer::ec("a");
    let client = serve_with(tokens(Keys::jwks(jwks(&[&signer])))).await;
    let good = signer.token(&claims());
    let huge = signer.token(&claims_but("padding", json!("x".repeat(20 << 10))));
    for (name, value) in [
        ("nothing after it", "Bearer".to_owned()),
        ("two tokens", format!("Bearer {good}, Bearer {good}")),
        ("two words", format!("Bearer {good} {good}")),
        ("quotes", format!("Bearer \"{good}\"")),
        ("a huge token", format!("Bearer {huge}")),
    ] {
        assert_refused(&client, name, &value, "invalid_request").await;
    }
    let mut twice = with(&format!("Bearer {good}"));
    let value = format!("Bearer {good}").parse().unwrap();
    twice.metadata_mut().append("authorization", value);
    let status = client.enter(twice).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    for (name, value) in [("basic", "Basic YTpi"), ("empty", "")] {
        assert_refused(&client, name, value, "needs credentials").await;
    }
    let status = client.enter(Nothing {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn several_issuers_have_keys_of_their_own() {
    let (first, second) = (Signer::ec("a"), Signer::ec("a"));
    let of_second = JwtAuthenticator::builder(Keys::jwks(jwks(&[&second])))
        .issuer("https://second.test")
        .audience(issuer::AUDIENCE);
    let server = server(tokens(Keys::jwks(jwks(&[&first]))));
    let client = serve(server.authenticator(of_second.build().unwrap())).await;
    let second_s = claims_but("iss", json!("https://second.test"));
    for (signer, claims) in [(&first, claims()), (&second, second_s.clone())] {
        let bearer = format!("Bearer {}", signer.token(&claims));
        assert_eq!(enter(&client, &bearer).await.unwrap(), "alice");
    }
    let other = claims_but("iss", json!("https://third.test"));
    for (name, signer, claims, why) in [
        ("the first's key", &first, second_s, "another issuer"),
        (
            "the second's key",
            &second,
            claims(),
            "its key or signature",
        ),
        ("of a third", &first, other, "another issuer"),
    ] {
        let bearer = format!("Bearer {}", signer.token(&claims));
        assert_refused(&client, name, &bearer, why).await;
    }
}

#[tokio::test]
async fn scopes_decide_where_a_method_asks_for_them() {
    let signer = Signer::ec("a");
    let client = serve_with(tokens(Keys::jwks(jwks(&[&signer])))).await;
    let bearer = |scopes: Value| {
        let claims = claims_but("scope", scopes);
        format!("Bearer {}", signer.token(&claims))
    };
    let both = client
        .put(with(&bearer(json!("vault.write vault.read x"))))
        .await;
    assert_eq!(both.unwrap().into_inner().scopes.len(), 3);
    for scopes in [
        json!("vault.read"),
        json!("vault.read vault.writes"),
        json!("vault.read,vault.write"),
        json!("VAULT.READ VAULT.WRITE"),
        json!(7),
        Value::Null,
    ] {
        let status = client.put(with(&bearer(scopes.clone()))).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{scopes}");
        let message = "insufficient_scope: the method needs scope=\"vault.read vault.write\"";
        assert_eq!(status.message(), message);
    }
    let one_of = client.look(wireloom::tokio_stream::iter([Nothing {}]));
    let one_of = one_of.metadata("authorization", bearer(json!(["vault.audit"])));
    assert!(one_of.await.unwrap().into_inner().message().await.is_ok());
}

#[tokio::test]
async fn a_token_that_was_verified_is_not_taken_after_it_has_expired() {
    let signer = Signer::ec("a");
    let tokens = tokens(Keys::jwks(jwks(&[&signer]))).clock_skew(Duration::ZERO);
    let client = serve_with(tokens).await;
    let expires = now() + 4;
    let bearer = format!(
        "Bearer {}",
        signer.token(&claims_but("exp", json!(expires)))
    );
    enter(&client, &bearer).await.unwrap();
    while now() < expires {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_refused(&client, "expired", &bearer, "expired").await;
}

#[tokio::test]
async fn keys_may_be_a_pem_text_or_a_secret() {
    let rsa = Signer::rsa("r");
    let client = serve_with(tokens(Keys::pem(RSA_PUBLIC_KEY))).await;
    let bearer = format!("Bearer {}", rsa.token(&claims()));
    assert_eq!(enter(&client, &bearer).await.unwrap(), "alice");

    let secret = "0123456789abcdef0123456789abcdef";
    let client = serve_with(tokens(Keys::secret(secret))).await;
    let by = |algorithm, secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key);
        format!("Bearer {}", token.unwrap())
    };
    let good = by(Algorithm::HS256, secret);
    assert_eq!(enter(&client, &good).await.unwrap(), "alice");
    let (other, key) = (by(Algorithm::HS256, "another"), "its key or signature");
    assert_refused(&client, "another secret", &other, key).await;
    let other = by(Algorithm::HS512, secret);
    assert_refused(&client, "another algorithm", &other, "malformed").await;
}

#[tokio::test]
async fn a_private_key_or_a_text_of_none_cannot_be_built_with() {
    for text in [issuer::RSA_KEY, b"nothing"] {
        let status = tokens(Keys::pem(text)).build().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let status = tokens(Keys::file("/no/such.json")).build().unwrap_err();
    assert!(status.message().contains("/no/such.json"), "{status}");
}
