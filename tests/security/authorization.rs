//! Who may call what.

mod everywhere;
mod refusals;
mod undeclared;

use wireloom::server::Listener;
use wireloom::tls::{ClientCertificates, ServerTls};
use wireloom::{
    AuthenticationRequest, Authenticator, Authorization, Caller, Channel, Code, Requirements,
    Server, Status,
};

use crate::vault::{self, Handler, Nothing, VaultClient, VaultServer, with};
use crate::warnings::Warnings;
use crate::world::{World, channel, https, identity};

/// Knows callers by what they say, which is their scopes.
struct Trusting;

impl Authenticator for Trusting {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Caller>, Status> {
        let Some(scopes) = request.metadata().get("authorization") else {
            return Ok(None);
        };
        match scopes.to_str().unwrap() {
            "bad" => Err(Status::unauthenticated("what you say is not true")),
            "later" => Err(Status::unavailable("it cannot be told now")),
            "panic" => panic!("as told"),
            scopes => {
                let caller = Caller::new(request.full_name());
                Ok(Some(caller.with_scopes(scopes.split(' '))))
            }
        }
    }
}

fn world_tls(world: &World) -> ServerTls {
    let certificates = ClientCertificates::Optional(world.roots());
    world.server_tls().client_certificates(certificates)
}

/// A server of which all may be asked.
fn server(world: &World) -> Server {
    Server::builder()
        .authenticator(Trusting)
        .tls(world_tls(world))
}

/// A client with a certificate for these names, or without one.
async fn client(world: &World, target: &str, names: &[&str]) -> VaultClient {
    let tls = world.client_tls();
    let tls = match names {
        [] => tls,
        names => tls.identity(identity(&world.authority.issue(names))),
    };
    let channel = channel(&https(target), tls).connect().await.unwrap();
    VaultClient::new(channel)
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn each_method_is_for_those_that_its_proto_says() {
    use Code::{Ok, PermissionDenied as Denied, Unauthenticated as Unknown};

    let world = World::new();
    let target = vault::listen(server(&world)).await;
    for (names, says, expected) in [
        // hours, enter, put, bill, move, forgotten
        (
            &[][..],
            "",
            [Ok, Unknown, Unknown, Unknown, Unknown, Denied],
        ),
        (&[], "bad", [Ok, Unknown, Unknown, Unknown, Unknown, Denied]),
        (&[], "x", [Ok, Ok, Denied, Unknown, Denied, Denied]),
        (
            &[],
            "vault.read vault.write",
            [Ok, Ok, Ok, Unknown, Unknown, Denied],
        ),
        (
            &["billing.test"],
            "",
            [Ok, Ok, Unknown, Ok, Unknown, Denied],
        ),
        (
            &["spiffe://test/billing/eu"],
            "",
            [Ok, Ok, Unknown, Ok, Unknown, Denied],
        ),
        (
            &["spiffe://test/billing"],
            "",
            [Ok, Ok, Unknown, Denied, Unknown, Denied],
        ),
        (
            &["x.billing.test"],
            "",
            [Ok, Ok, Unknown, Denied, Unknown, Denied],
        ),
        (
            &["a.carriers.test"],
            "vault.write",
            [Ok, Ok, Denied, Denied, Ok, Denied],
        ),
        (
            &["a.b.carriers.test"],
            "vault.write",
            [Ok, Ok, Denied, Denied, Denied, Denied],
        ),
        (
            &["a.carriers.test", "billing.test"],
            "vault.read",
            [Ok, Ok, Denied, Ok, Denied, Denied],
        ),
        (
            &["billing.test"],
            "bad",
            [Ok, Unknown, Unknown, Unknown, Unknown, Denied],
        ),
    ] {
        let client = client(&world, &target, names).await;
        let request = || match says {
            "" => wireloom::Request::new(Nothing {}),
            says => with(says),
        };
        let codes = [
            code(client.hours(request()).await),
            code(client.enter(request()).await),
            code(client.put(request()).await),
            code(client.bill(request()).await),
            code(client.r#move(request()).await),
            code(client.forgotten(request()).await),
        ];
        assert_eq!(codes, expected, "{names:?} {says:?}");
    }
}

#[tokio::test]
async fn what_nobody_could_meet_fails_the_start() {
    let world = World::new();
    let tls = || Server::builder().tls(world_tls(&world));
    for (name, server, why) in [
        ("no authenticator", tls(), "guarded.Vault/Look needs scopes"),
        (
            "no certificates",
            Server::builder().authenticator(Trusting),
            "guarded.Vault/Bill is for certain client certificates",
        ),
        (
            "certificates are not asked for",
            Server::builder()
                .authenticator(Trusting)
                .tls(world.server_tls()),
            "guarded.Vault/Bill is for certain client certificates",
        ),
        (
            "a service that is not there",
            server(&world).authorization("guarded.Vaults", Authorization::Public),
            "no service or method guarded.Vaults",
        ),
        (
            "a method that is not there",
            server(&world).authorization("guarded.Vault/Leave", Authorization::Public),
            "no service or method guarded.Vault/Leave",
        ),
        (
            "a scope that is none",
            server(&world).authorization("guarded.Vault", Authorization::scopes(&["a b"])),
            "is no scope",
        ),
        (
            "an identity that is none",
            server(&world).authorization("guarded.Vault", Authorization::identities(&["*"])),
            "is no name of a client certificate",
        ),
        (
            "requirements of nothing",
            server(&world).authorization(
                "guarded.Vault",
                Authorization::Required(Requirements::default()),
            ),
            "ask for nothing",
        ),
    ] {
        let status = vault::refusal(server).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status}");
        assert!(status.message().contains(why), "{name}: {status}");
    }
}

#[tokio::test]
async fn certificates_may_be_those_of_one_listener() {
    let world = World::new();
    let bind = async || Listener::bind("127.0.0.1:0").await.unwrap();
    let listeners = [
        bind().await.plaintext(),
        bind().await.tls(world_tls(&world)),
    ];
    let [plain, secured] = listeners.each_ref().map(|at| at.target().to_string());
    let server = Server::builder().authenticator(Trusting);
    let server = server.add_service(VaultServer::new(Handler));
    tokio::spawn(server.serve(listeners));
    let billing = client(&world, &secured, &["billing.test"]).await;
    billing.bill(Nothing {}).await.unwrap();
    let plain = VaultClient::connect(&plain).await.unwrap();
    assert_eq!(code(plain.bill(with("x")).await), Code::Unauthenticated);
    plain.enter(with("x")).await.unwrap();
}

#[tokio::test]
async fn methods_that_a_certificate_opens_beside_a_token_are_listed_at_the_start() {
    let (warnings, _listening) = Warnings::listen();
    let world = World::new();
    let warned = |server: Server| {
        let server = server.add_service(VaultServer::new(Handler));
        let _channel = Channel::in_process(server).lazy().unwrap();
        let told = warnings.take().into_iter();
        let told = told.filter(|warning| warning.contains("any client certificate"));
        told.collect::<Vec<_>>()
    };
    let told = warned(server(&world));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("methods=\"guarded.Vault/Enter\""),
        "{told:?}"
    );
    let scopes = Authorization::scopes(&["vault.read"]);
    let with_scopes = server(&world).authorization("guarded.Vault/Enter", scopes);
    let without_certificates = Server::builder()
        .authenticator(Trusting)
        .tls(world.server_tls())
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public);
    let without_authenticator = Server::builder()
        .tls(world_tls(&world))
        .authorization("guarded.Vault", Authorization::Authenticated);
    for server in [with_scopes, without_certificates, without_authenticator] {
        assert_eq!(warned(server), [""; 0]);
    }
}

#[tokio::test]
async fn an_authenticator_that_fails_ends_the_call_and_no_other() {
    let world = World::new();
    let target = vault::listen(server(&world)).await;
    let client = client(&world, &target, &[]).await;
    let status = client.enter(with("later")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "it cannot be told now");
    let status = client.enter(with("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    client.enter(with("x")).await.unwrap();
}
