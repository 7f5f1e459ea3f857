//! Who may call what.

use std::sync::{Arc, Mutex};

use wireloom::server::{Call, Listener, Reply, Service};
use wireloom::tls::{ClientCertificates, ServerTls};
use wireloom::{
    AuthenticationRequest, Authenticator, Authorization, CallObserver, Caller, Channel, Code,
    InterceptedCall, Interceptor, Next, Requirements, Response, Server, Status, tokio_stream,
};

use crate::support::{self, ProbeClient, task};
use crate::vault::{self, Handler, Nothing, VaultClient, VaultServer, serve, with};
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

/// Services that are not generated, and say nothing of their methods.
macro_rules! by_hand {
    ($($name:ident = $full_name:literal)*) => { $(
        struct $name;

        impl Service for $name {
            const NAME: &'static str = $full_name;

            async fn call(&self, _: Call) -> Reply {
                Status::aborted("it was called").into()
            }
        }
    )* };
}

by_hand! {
    ByHand = "hand.Made"
    Health = "grpc.health.v1.Health"
    Reflection = "grpc.reflection.v1.ServerReflection"
    ReflectionAlpha = "grpc.reflection.v1alpha.ServerReflection"
}

/// A service around another, which does not hand on what that says of its methods.
struct Around<S>(S);

impl<S: Service> Service for Around<S> {
    const NAME: &'static str = S::NAME;

    async fn call(&self, call: Call) -> Reply {
        self.0.call(call).await
    }
}

#[tokio::test]
async fn what_is_declared_holds_though_a_service_around_it_does_not_hand_it_on() {
    let around = |server: Server| {
        let server = server.add_service(Around(VaultServer::new(Handler)));
        VaultClient::new(Channel::in_process(server).lazy().unwrap())
    };
    let codes = async |client: VaultClient| {
        let all = || with("vault.read vault.write");
        let look = client.look(tokio_stream::iter([Nothing {}]));
        let look = look.metadata("authorization", "vault.read");
        [
            code(client.hours(all()).await),
            code(client.enter(all()).await),
            code(client.put(all()).await),
            code(look.await.unwrap().into_inner().message().await),
        ]
    };
    use Code::{Ok, PermissionDenied as Denied};
    let nobody_is_asked = around(Server::builder());
    assert_eq!(codes(nobody_is_asked).await, [Ok, Denied, Denied, Denied]);
    let they_must_be_known = around(Server::builder().authenticator(Trusting));
    assert_eq!(
        codes(they_must_be_known).await,
        [Ok, Denied, Denied, Denied]
    );
    let overruled = Server::builder().authorization("guarded.Vault", Authorization::Public);
    assert_eq!(codes(around(overruled)).await, [Ok; 4]);
    let unrestricted = around(Server::builder().unrestricted());
    assert_eq!(codes(unrestricted).await, [Ok; 4]);
}

async fn call(channel: &Channel, method: &'static wireloom::Method<String, String>) -> Code {
    code(channel.unary(method, String::new()).await)
}

#[tokio::test]
async fn what_nothing_is_said_of_is_denied_once_anything_is_said() {
    use wireloom::Method;
    static HAND: Method<String, String> = Method::unary("/hand.Made/Any");
    static HEALTH: Method<String, String> = Method::unary("/grpc.health.v1.Health/Check");
    static V1: Method<String, String> =
        Method::unary("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    static V1_ALPHA: Method<String, String> =
        Method::unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    static PROBE: Method<String, String> = Method::unary("/probe.Probe/Unary");
    static NO_METHOD: Method<String, String> = Method::unary("/probe.Probe/Nothing");
    static NO_SERVICE: Method<String, String> = Method::unary("/no.Service/Nothing");
    static ODD: Method<String, String> = Method::unary("/hand.Made/Any/");

    // `Aborted` is what handlers answer that are reached.
    use Code::{Aborted as Reached, PermissionDenied as Denied, Unimplemented};
    let services = || {
        Server::builder()
            .add_service(ByHand)
            .add_service(Health)
            .add_service(Reflection)
            .add_service(ReflectionAlpha)
            .add_service(support::service().0)
    };
    let codes = async |server: Server| {
        let channel = Channel::in_process(server).lazy().unwrap();
        [
            call(&channel, &HAND).await,
            call(&channel, &HEALTH).await,
            call(&channel, &V1).await,
            call(&channel, &V1_ALPHA).await,
            call(&channel, &PROBE).await,
            call(&channel, &NO_METHOD).await,
            call(&channel, &NO_SERVICE).await,
            call(&channel, &ODD).await,
        ]
    };
    let all = [
        Reached,
        Reached,
        Reached,
        Reached,
        Code::Ok,
        Unimplemented,
        Unimplemented,
        Unimplemented,
    ];
    assert_eq!(codes(services()).await, all);

    let one = services().authorization("probe.Probe/Bidi", Authorization::Public);
    let denied = [
        Denied,
        Reached,
        Reached,
        Reached,
        Denied,
        Unimplemented,
        Unimplemented,
        Unimplemented,
    ];
    assert_eq!(codes(one).await, denied);

    let named = services()
        .authorization("hand.Made/Any", Authorization::Public)
        .authorization("probe.Probe", Authorization::Public)
        .authenticator(Trusting)
        .authorization("grpc.health.v1.Health", Authorization::scopes(&["health"]));
    let expected = [
        Reached,
        Code::Unauthenticated,
        Reached,
        Reached,
        Code::Ok,
        Unimplemented,
        Unimplemented,
        Unimplemented,
    ];
    assert_eq!(codes(named).await, expected);

    let unrestricted = services()
        .authorization("hand.Made", Authorization::scopes(&["a"]))
        .unrestricted();
    assert_eq!(codes(unrestricted).await, all);

    // With an authenticator and nothing said, callers must be known.
    let unknown = Code::Unauthenticated;
    let known = services().authenticator(Trusting);
    let expected = [
        unknown,
        Reached,
        Reached,
        Reached,
        unknown,
        Unimplemented,
        Unimplemented,
        Unimplemented,
    ];
    assert_eq!(codes(known).await, expected);
}

#[tokio::test]
async fn a_path_that_is_written_in_another_way_leads_past_nothing() {
    use wireloom::Method;
    const PATHS: [&str; 16] = [
        "/guarded.Vault/Put/",
        "/guarded.Vault/Put//",
        "//guarded.Vault/Put",
        "/guarded.Vault//Put",
        "/guarded.Vault/./Put",
        "/guarded.Vault/Hours/../Put",
        "/guarded.Vault/Pu%74",
        "/guarded.Vault%2FPut",
        "/%67uarded.Vault/Put",
        "/guarded.vault/put",
        "/guarded.Vault/Put;a",
        "/guarded.Vault/Put%00",
        "/.guarded.Vault/Put",
        "/guarded.Vault",
        "/guarded.Vault/",
        "/",
    ];
    let server = Server::builder()
        .authenticator(Trusting)
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public)
        .add_service(VaultServer::new(Handler))
        .add_service(ByHand);
    let channel = Channel::in_process(server).lazy().unwrap();
    for path in PATHS {
        let method: &'static Method<String, String> = Box::leak(Box::new(Method::unary(path)));
        assert_eq!(call(&channel, method).await, Code::Unimplemented, "{path}");
    }
    // A query is no part of what is asked for, nor of what is answered.
    static QUERY: Method<String, String> = Method::unary("/guarded.Vault/Put?/guarded.Vault/Hours");
    assert_eq!(call(&channel, &QUERY).await, Code::Unauthenticated);
    static HAND: Method<String, String> =
        Method::unary("/hand.Made/x?/grpc.health.v1.Health/Check");
    assert_eq!(call(&channel, &HAND).await, Code::PermissionDenied);
}

#[tokio::test]
async fn what_nothing_is_said_of_is_listed_at_the_start() {
    let (warnings, _listening) = Warnings::listen();
    let world = World::new();
    let server = server(&world).add_service(ByHand).add_service(Health);
    let server = server.add_service(VaultServer::new(Handler));
    let _channel = Channel::in_process(server).lazy().unwrap();
    let told = warnings.take();
    let listed = "\"guarded.Vault/Forgotten, hand.Made\"";
    assert!(told[0].contains(listed), "{told:?}");
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

/// Notes what interceptors and observers are told.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, Code)>>>);

impl CallObserver for Seen {
    fn ended(&self, status: &Status) {
        self.note("observer", status.code());
    }
}

impl Seen {
    fn note(&self, who: &str, code: Code) {
        self.0.lock().unwrap().push((who.to_owned(), code));
    }
}

impl Interceptor for Seen {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(self.clone());
        let caller = call.extensions().get::<Caller>().cloned();
        let response = next.run(call).await;
        let who = caller.map_or("nobody".to_owned(), |caller| caller.subject().to_owned());
        self.note(
            &who,
            response.as_ref().map_or_else(Status::code, |_| Code::Ok),
        );
        response
    }
}

#[tokio::test]
async fn interceptors_see_the_caller_and_with_observers_the_refusal() {
    let seen = Seen::default();
    let server = Server::builder()
        .authenticator(Trusting)
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public)
        .interceptor(seen.clone());
    let client = serve(server).await;
    client.enter(with("x")).await.unwrap();
    assert_eq!(code(client.enter(with("bad")).await), Code::Unauthenticated);
    assert_eq!(code(client.put(with("x")).await), Code::PermissionDenied);
    let name = |name: &str| name.to_owned();
    let expected = [
        (name("guarded.Vault/Enter"), Code::Ok),
        (name("observer"), Code::Ok),
        (name("nobody"), Code::Unauthenticated),
        (name("observer"), Code::Unauthenticated),
        (name("nobody"), Code::PermissionDenied),
        (name("observer"), Code::PermissionDenied),
    ];
    assert_eq!(*seen.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_refused_call_is_not_retried_into_a_handler() {
    let (builder, mut events) = support::in_process_on(
        Server::builder()
            .authenticator(Trusting)
            .authorization("probe.Probe", Authorization::scopes(&["probe"])),
    );
    let client = ProbeClient::new(builder.lazy().unwrap());
    assert_eq!(code(client.retried(task("a")).await), Code::Unauthenticated);
    assert!(events.try_recv().is_err());
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
