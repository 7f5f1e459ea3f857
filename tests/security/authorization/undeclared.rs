//! What nothing is said of.

use wireloom::server::{Call, Reply, Service};
use wireloom::{Authorization, Channel, Code, Server, Status, tokio_stream};

use super::{Trusting, code, server};
use crate::support;
use crate::vault::{Handler, Nothing, VaultClient, VaultServer, with};
use crate::warnings::Warnings;
use crate::world::World;

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

#[tokio::test]
async fn a_server_that_lifts_what_is_declared_warns_of_it() {
    let (warnings, _guard) = Warnings::listen();
    let told = |server: Server, channel: fn(Server) -> Channel| {
        let _channel = channel(server.add_service(VaultServer::new(Handler)));
        warnings.take()
    };
    let channel = |server| Channel::in_process(server).lazy().unwrap();
    let declared = told(Server::builder().unrestricted(), channel);
    assert_eq!(declared.len(), 1, "{declared:?}");
    assert!(
        declared[0].contains("`Server::unrestricted`")
            && declared[0].contains("guarded.Vault/Put")
            && !declared[0].contains("guarded.Vault/Hours"),
        "{declared:?}"
    );
    let with_authenticator = Server::builder().authenticator(Trusting).unrestricted();
    let asked = told(with_authenticator, channel);
    assert!(asked[0].contains("no authenticator is asked"), "{asked:?}");
    let public = Server::builder()
        .authorization("guarded.Vault", Authorization::Public)
        .unrestricted();
    assert_eq!(told(public, channel), [""; 0]);
    // There, the process is its own caller.
    let _channel = Channel::from_service(VaultServer::new(Handler));
    assert_eq!(warnings.take(), [""; 0]);
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
