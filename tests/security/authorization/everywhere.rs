//! The same, wherever a service is, and whoever made it.

use wireloom::server::Listener;
use wireloom::{Authorization, Caller, Channel, Code, Server, Status};

use super::{Trusting, code, server};
use crate::support::{self, ProbeClient, task};
use crate::vault::{Handler, Nothing, VaultClient, VaultServer, with};
use crate::world::World;

#[tokio::test]
async fn a_service_in_the_process_is_the_process_s_own_and_a_server_there_is_as_it_is_set() {
    let own = VaultClient::new(Channel::from_service(VaultServer::new(Handler)));
    own.put(Nothing {}).await.unwrap();
    own.forgotten(Nothing {}).await.unwrap();

    let world = World::new();
    let server = server(&world).add_service(VaultServer::new(Handler));
    let client = VaultClient::new(Channel::in_process(server).lazy().unwrap());
    assert_eq!(code(client.put(Nothing {}).await), Code::Unauthenticated);
    client.put(with("vault.read vault.write")).await.unwrap();
    // Nobody has a certificate there.
    assert_eq!(code(client.bill(with("x")).await), Code::Unauthenticated);
}

#[tokio::test]
async fn over_a_unix_socket_the_same_holds() {
    let folder = tempfile::tempdir().unwrap();
    let target = format!("unix:{}", folder.path().join("vault.sock").display());
    let server = Server::builder()
        .authenticator(Trusting)
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public)
        .add_service(VaultServer::new(Handler));
    let listener = Listener::bind(&target).await.unwrap();
    tokio::spawn(server.serve(listener));
    let client = VaultClient::connect(&target).await.unwrap();
    assert_eq!(code(client.enter(Nothing {}).await), Code::Unauthenticated);
    client.enter(with("x")).await.unwrap();
}

#[tokio::test]
async fn tonic_s_stubs_are_held_to_what_is_declared_with_an_interceptor_or_without() {
    use tonic::{Request, Response, Streaming, async_trait};
    use wireloom_tests::golden::authorization_tonic::tasks;

    struct Tasks;

    #[async_trait]
    impl tasks::tasks_server::Tasks for Tasks {
        async fn get(&self, request: Request<tasks::Id>) -> Result<Response<tasks::Id>, Status> {
            Ok(Response::new(request.into_inner()))
        }

        async fn put(
            &self,
            request: Request<Streaming<tasks::Id>>,
        ) -> Result<Response<tasks::Id>, Status> {
            let caller = request.extensions().get::<Caller>().unwrap();
            let name = caller.subject().to_owned();
            Ok(Response::new(tasks::Id { name }))
        }
    }

    async fn check(server: Server) {
        let server = server.authenticator(Trusting);
        let channel = Channel::in_process(server).lazy().unwrap();
        let mut client = tasks::tasks_client::TasksClient::new(channel);
        let id = || tasks::Id::default();
        let put = |scopes: &'static str| {
            let mut request = Request::new(wireloom::tokio_stream::iter([id()]));
            let value = scopes.parse().unwrap();
            request.metadata_mut().insert("authorization", value);
            request
        };
        let answer = client.put(put("tasks.write")).await.unwrap();
        assert_eq!(answer.into_inner().name, "tasks.Tasks/Put");
        assert_eq!(code(client.put(put("x")).await), Code::PermissionDenied);
        assert_eq!(code(client.get(id()).await), Code::PermissionDenied);
    }

    let service = tasks::tasks_server::TasksServer::new(Tasks);
    check(Server::builder().add_service(service)).await;
    let service = tasks::tasks_server::TasksServer::with_interceptor(Tasks, Ok);
    check(Server::builder().add_service(service)).await;
}

#[tokio::test]
async fn behind_layers_and_inside_axum_the_same_holds() {
    let server = || {
        Server::builder()
            .authenticator(Trusting)
            .authorization("probe.Probe/Unary", Authorization::scopes(&["probe"]))
            .add_service(support::service().0)
    };
    let layered = server().layer(tower::limit::ConcurrencyLimitLayer::new(10));
    let layered = Channel::in_process(layered).lazy().unwrap();

    let grpc = server().into_service().unwrap();
    let app = axum::Router::new().route_service("/probe.Probe/{method}", grpc);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mounted = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mounted = Channel::connect(&mounted).await.unwrap();

    for channel in [layered, mounted] {
        let client = ProbeClient::new(channel);
        let with = |scopes: &'static str| client.unary(task("a")).metadata("authorization", scopes);
        assert_eq!(code(client.unary(task("a")).await), Code::Unauthenticated);
        assert_eq!(code(with("x").await), Code::PermissionDenied);
        with("probe").await.unwrap();
        assert_eq!(
            code(client.retried(task("a")).await),
            Code::PermissionDenied
        );
    }
}
