//! What `docs/security.md` shows, run.

use std::collections::HashMap;
use std::time::Duration;

use wireloom::jwt::{Claims, JwtAuthenticator, Keys};
use wireloom::server::Server;
use wireloom::tls::{ClientCertificates, ClientTls, Identity, PeerIdentity, Roots, ServerTls};
use wireloom::{
    AuthenticationRequest, Authenticator, Authorization, BearerCredentials, BearerToken,
    CallCredentials, Caller, Channel, Code, CredentialsRequest, InterceptedCall, Interceptor, Next,
    Request, Response, Status, metadata::MetadataMap,
};
use wireloom_peer::Authority;

use crate::support::{ProbeClient, Setup, TestServer, task};
use crate::world::https;

/// Lets calls in by what the caller's certificate is for.
struct BillingOnly;

impl Interceptor for BillingOnly {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let caller = call.extensions().get::<PeerIdentity>();
        match caller {
            Some(caller) if caller.dns_names().any(|name| name == "billing.internal") => {
                next.run(call).await
            }
            _ => Err(Status::permission_denied("this is for billing alone")),
        }
    }
}

/// Signs each call for the service that it goes to.
struct Signed {
    key: String,
}

impl CallCredentials for Signed {
    async fn metadata(&self, request: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
        let signature = sign(&self.key, &request.service_url()).parse();
        let mut metadata = MetadataMap::new();
        metadata.insert(
            "signature",
            signature.map_err(|_| Status::unauthenticated("the signature is not ASCII"))?,
        );
        Ok(metadata)
    }
}

fn sign(key: &str, audience: &str) -> String {
    format!("{}-{}", key.len(), audience.len())
}

async fn ask_the_issuer() -> Result<(String, u64), std::io::Error> {
    Ok(("secret".to_owned(), 3600))
}

#[tokio::test]
async fn both_sides_prove_themselves() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    std::fs::write(of("ca.pem"), authority.pem()).unwrap();
    authority
        .issue(&["127.0.0.1"])
        .write(folder.path(), "server");
    authority
        .issue(&["billing.internal"])
        .write(folder.path(), "client");

    let tls = ServerTls::new(Identity::files(of("server.pem"), of("server.key")))
        .client_certificates(ClientCertificates::Required(Roots::file(of("ca.pem"))));
    let server = Server::builder().tls(tls).interceptor(BillingOnly);
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let target = https(&server.target);

    let credentials = BearerCredentials::fetched(|| async {
        let (token, seconds) = ask_the_issuer().await?;
        let token = BearerToken::new(token).expires_in(Duration::from_secs(seconds));
        Ok::<_, std::io::Error>(token)
    });
    let tls = ClientTls::new()
        .roots(Roots::file(of("ca.pem")))
        .identity(Identity::files(of("client.pem"), of("client.key")));
    let channel = Channel::builder(&target)
        .tls(tls)
        .credentials(credentials)
        .lazy()
        .unwrap();
    let client = ProbeClient::new(channel);
    client.unary(task("a")).await.unwrap();
    let key = "key".to_owned();
    let signed = client.unary(task("b")).credentials(Signed { key });
    signed.await.unwrap();
}

/// Knows callers by keys that they were given.
struct ApiKeys {
    names_by_key: HashMap<Vec<u8>, String>,
}

impl Authenticator for ApiKeys {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Caller>, Status> {
        let Some(key) = request.metadata().get("x-api-key") else {
            return Ok(None);
        };
        match self.names_by_key.get(key.as_bytes()) {
            Some(name) => Ok(Some(Caller::new(name).with_scopes(["tasks.read"]))),
            None => Err(Status::unauthenticated("the key is not known")),
        }
    }
}

/// Whose tasks a call is about.
fn tenant<T>(request: &Request<T>) -> Result<&str, Status> {
    let claims = request.extensions().get::<Claims>();
    let tenant = claims.and_then(|claims| claims.get("tenant")?.as_str());
    tenant.ok_or_else(|| Status::permission_denied("the token is of no tenant"))
}

/// The token that a call came with, for calls in the name of its caller.
fn token_of<T>(request: &Request<T>) -> Option<BearerCredentials> {
    let value = request.metadata().get("authorization")?.to_str().ok()?;
    let (_, token) = value.split_once(' ')?;
    Some(BearerCredentials::fixed(token))
}

#[tokio::test]
async fn callers_are_known_by_tokens_and_keys() {
    let keys = Keys::url("https://issuer.example.com/.well-known/jwks.json");
    let tokens = JwtAuthenticator::builder(keys)
        .issuer("https://issuer.example.com/")
        .audience("tasks")
        .build()
        .unwrap();
    let names = [(b"0123456789".to_vec(), "the batch job".to_owned())];
    let api_keys = ApiKeys {
        names_by_key: HashMap::from(names),
    };
    let server = Server::builder()
        .authenticator(tokens)
        .authenticator(api_keys)
        .authorization("probe.Probe", Authorization::Authenticated)
        .authorization("probe.Probe/Unary", Authorization::scopes(&["tasks.read"]));
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    let call = client.unary(task("a")).metadata("x-api-key", "0123456789");
    call.await.unwrap();
    let call = client.unary(task("a")).metadata("x-api-key", "012345678");
    assert_eq!(call.await.unwrap_err().code(), Code::Unauthenticated);
}

#[test]
fn a_handler_reads_claims_and_hands_on_a_token() {
    let mut request = Request::new(());
    assert!(tenant(&request).is_err());
    assert!(token_of(&request).is_none());
    let value = "Bearer abc".parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    assert!(token_of(&request).is_some());
}
