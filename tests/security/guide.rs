//! What `docs/security.md` shows, run.

use std::time::Duration;

use wireloom::server::Server;
use wireloom::tls::{ClientCertificates, ClientTls, Identity, PeerIdentity, Roots, ServerTls};
use wireloom::{
    BearerCredentials, BearerToken, CallCredentials, Channel, CredentialsRequest, InterceptedCall,
    Interceptor, Next, Response, Status, metadata::MetadataMap,
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
