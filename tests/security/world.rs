//! An authority, servers that it vouches for, and channels to them.

use std::path::Path;

use tempfile::TempDir;
use wireloom::tls::{ClientTls, Identity, PeerIdentity, Roots, ServerTls};
use wireloom::{
    Channel, ChannelBuilder, Code, InterceptedCall, Interceptor, Next, Response, Server, Status,
};
use wireloom_peer::{Authority, Certified, CertifiedFiles};

use crate::support::{ProbeClient, Setup, TestServer, task};

/// What certificates of servers are for. Their address is 127.0.0.1.
pub const NAME: &str = "probe.test";

pub struct World {
    folder: TempDir,
    pub authority: Authority,
}

impl World {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            authority: Authority::new("the authority"),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn roots(&self) -> Roots {
        Roots::pem(self.authority.pem())
    }

    /// A client that trusts the authority, of a server with [`NAME`].
    pub fn client_tls(&self) -> ClientTls {
        ClientTls::new().roots(self.roots()).server_name(NAME)
    }

    pub fn server_tls(&self) -> ServerTls {
        server_tls(&self.authority.issue(&[NAME]))
    }

    /// A server, and a client of it, as they should be.
    pub async fn serve(&self) -> (TestServer, ProbeClient) {
        let server = serve(self.server_tls()).await;
        let client = client(&server, self.client_tls()).await.unwrap();
        (server, client)
    }
}

pub fn identity(certified: &Certified) -> Identity {
    Identity::pem(&certified.chain, &certified.key)
}

pub fn identity_files(files: &CertifiedFiles) -> Identity {
    Identity::files(&files.chain, &files.key)
}

pub fn server_tls(certified: &Certified) -> ServerTls {
    ServerTls::new(identity(certified))
}

/// A server that answers with what it knows of its caller, as the header `peer`.
pub async fn serve(tls: ServerTls) -> TestServer {
    serve_at("127.0.0.1:0", tls).await
}

pub async fn serve_at(address: &str, tls: ServerTls) -> TestServer {
    let setup = Setup {
        address: address.to_owned(),
        server: Server::builder().tls(tls).interceptor(TellsPeer),
        ..Setup::default()
    };
    let mut server = TestServer::start(setup).await;
    server.target = https(&server.target);
    server
}

pub fn https(target: &str) -> String {
    target.replace("http://", "https://")
}

struct TellsPeer;

impl Interceptor for TellsPeer {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let identity = call.extensions().get::<PeerIdentity>();
        let peer = identity.map_or("nobody".to_owned(), |peer| {
            let names = peer.dns_names().chain(peer.uris());
            names.collect::<Vec<_>>().join(" ")
        });
        let token = call.metadata().get("authorization").cloned();
        let mut response = next.run(call).await?;
        response
            .metadata_mut()
            .insert("peer", peer.parse().unwrap());
        if let Some(token) = token {
            response.metadata_mut().insert("token", token);
        }
        Ok(response)
    }
}

pub fn channel(target: &str, tls: ClientTls) -> ChannelBuilder {
    Channel::builder(target).tls(tls)
}

pub async fn client(server: &TestServer, tls: ClientTls) -> Result<ProbeClient, Status> {
    let channel = channel(&server.target, tls).connect().await?;
    Ok(ProbeClient::new(channel))
}

/// Why a client does not get to a server.
pub async fn refusal(server: &TestServer, tls: ClientTls) -> String {
    refused(client(server, tls).await.map(drop))
}

pub fn refused<T: std::fmt::Debug>(refused: Result<T, Status>) -> String {
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(
        status.message().starts_with("could not connect to"),
        "{status}"
    );
    status.message().to_owned()
}

/// What a server says of who calls it.
pub async fn peer(client: &ProbeClient) -> String {
    let response = client.unary(task("a")).await.unwrap();
    let peer = response.metadata().get("peer").unwrap();
    peer.to_str().unwrap().to_owned()
}
