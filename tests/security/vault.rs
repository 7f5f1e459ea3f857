//! A service that says who may call its methods, and answers with who calls.

use wireloom::server::Listener;
use wireloom::{MessageStream, Request, Response, Server, Status, Streaming, tokio_stream};

pub use crate::proto::guarded::{Caller, Nothing, Vault, VaultClient, VaultServer};

/// Serves it, at the target that comes back.
pub async fn listen(server: Server) -> String {
    let server = server.add_service(VaultServer::new(Handler));
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    tokio::spawn(server.serve(listener));
    target
}

/// Serves it, with a client in plaintext.
pub async fn serve(server: Server) -> VaultClient {
    VaultClient::connect(&listen(server).await).await.unwrap()
}

/// Why a server does not serve it.
pub async fn refusal(server: Server) -> Status {
    let server = server.add_service(VaultServer::new(Handler));
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    server.serve(listener).await.unwrap_err()
}

/// A request with a value of `authorization`.
pub fn with(authorization: &str) -> Request<Nothing> {
    let mut request = Request::new(Nothing {});
    let value = authorization.parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub struct Handler;

fn caller<T>(request: &Request<T>) -> Caller {
    let known = request.extensions().get::<wireloom::Caller>();
    known.map_or_else(Caller::default, |caller| Caller {
        subject: caller.subject().to_owned(),
        scopes: caller.scopes().map(str::to_owned).collect(),
    })
}

type Answer = Result<Response<Caller>, Status>;

impl Vault for Handler {
    async fn hours(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }

    async fn enter(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }

    async fn put(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }

    async fn look(
        &self,
        request: Request<Streaming<Nothing>>,
    ) -> Result<Response<impl MessageStream<Caller>>, Status> {
        let caller = caller(&request);
        Ok(Response::new(tokio_stream::iter([Ok(caller)])))
    }

    async fn bill(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }

    async fn r#move(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }

    async fn forgotten(&self, request: Request<Nothing>) -> Answer {
        Ok(Response::new(caller(&request)))
    }
}
