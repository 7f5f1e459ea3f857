//! Certificates and roots that change while streams are open.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wireloom::tls::{ClientCertificates, ClientTls, Roots, ServerTls};
use wireloom::tokio_stream::wrappers::ReceiverStream;
use wireloom::{Channel, Streaming};
use wireloom_peer::Authority;

use crate::support::{Outcome, ProbeClient, Task, TestServer, task};
use crate::warnings::Warnings;
use crate::world::{NAME, World, client, identity_files, peer, refusal, serve};

/// A stream that is open, and can be asked whether it still is.
struct Open {
    tasks: mpsc::Sender<Task>,
    outcomes: Streaming<Outcome>,
}

impl Open {
    async fn on(client: &ProbeClient) -> Self {
        let (tasks, queue) = mpsc::channel(1);
        let outcomes = client.bidi(ReceiverStream::new(queue)).await.unwrap();
        Self {
            tasks,
            outcomes: outcomes.into_inner(),
        }
    }

    async fn echoes(&mut self, name: &str) {
        self.tasks.send(task(name)).await.unwrap();
        let outcome = self.outcomes.message().await.unwrap().unwrap();
        assert_eq!(outcome.name, name);
    }
}

/// A server whose files are looked at by every handshake.
async fn serve_files(world: &World) -> TestServer {
    let files = world.authority.issue(&[NAME]).write(world.path(), "server");
    serve(ServerTls::new(identity_files(&files)).reload_interval(Duration::ZERO)).await
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new()
        .roots(Roots::pem(authority.pem()))
        .server_name(NAME)
}

#[tokio::test]
async fn a_server_s_new_certificate_serves_new_connections_and_leaves_streams() {
    let world = World::new();
    let server = serve_files(&world).await;
    let before = client(&server, world.client_tls()).await.unwrap();
    let mut open = Open::on(&before).await;
    open.echoes("before").await;

    let new = Authority::new("the new authority");
    new.issue(&[NAME]).write(world.path(), "server");
    let after = client(&server, trusting(&new)).await.unwrap();
    after.unary(task("a")).await.unwrap();
    let message = refusal(&server, world.client_tls()).await;
    assert!(message.contains("leads to no root"), "{message}");
    open.echoes("after").await;
}

#[tokio::test]
async fn a_client_s_new_certificate_and_roots_are_used_by_its_next_connection() {
    let world = World::new();
    let (old, new) = (&world.authority, Authority::new("the new authority"));
    let write = |authority: &Authority, name: &str| {
        fs::write(world.path().join("roots.pem"), authority.pem()).unwrap();
        authority.issue(&[name]).write(world.path(), "client")
    };
    let files = write(old, "old.test");
    let tls = ClientTls::new()
        .roots(Roots::file(world.path().join("roots.pem")))
        .identity(identity_files(&files))
        .server_name(NAME)
        .reload_interval(Duration::ZERO);

    let server_of = async |authority: &Authority, address: &str| {
        let certified = authority.issue(&[NAME]);
        let roots = Roots::pem(authority.pem());
        let tls = crate::world::server_tls(&certified)
            .client_certificates(ClientCertificates::Required(roots));
        crate::world::serve_at(address, tls).await
    };
    let server = server_of(old, "127.0.0.1:0").await;
    let address = server.target.strip_prefix("https://").unwrap().to_owned();
    let channel = Channel::builder(&server.target).tls(tls).lazy().unwrap();
    let client = ProbeClient::new(channel);
    assert_eq!(peer(&client).await, "old.test");

    // The same channel, to what has become a server of the new authority.
    server.stopped().await;
    let _server = server_of(&new, &address).await;
    write(&new, "new.test");
    assert_eq!(peer(&client).await, "new.test");
}

#[tokio::test]
async fn roots_of_clients_that_change_let_others_in() {
    let world = World::new();
    let roots = world.path().join("clients.pem");
    fs::write(&roots, world.authority.pem()).unwrap();
    let tls = world.server_tls().reload_interval(Duration::ZERO);
    let certificates = ClientCertificates::Required(Roots::file(&roots));
    let server = serve(tls.client_certificates(certificates)).await;

    let certified = world.authority.issue(&["old.test"]);
    let old = world
        .client_tls()
        .identity(crate::world::identity(&certified));
    let before = client(&server, old.clone()).await.unwrap();
    let mut open = Open::on(&before).await;
    open.echoes("before").await;

    let new = Authority::new("the new authority of clients");
    fs::write(&roots, new.pem()).unwrap();
    let certified = new.issue(&["new.test"]);
    let tls = world
        .client_tls()
        .identity(crate::world::identity(&certified));
    assert_eq!(peer(&client(&server, tls).await.unwrap()).await, "new.test");
    refusal(&server, old).await;
    open.echoes("after").await;
}

#[tokio::test]
async fn a_broken_file_is_told_of_once_and_the_last_good_one_stays() {
    let (warnings, _listening) = Warnings::listen();

    let world = World::new();
    let server = serve_files(&world).await;
    client(&server, world.client_tls()).await.unwrap();
    fs::write(world.path().join("server.pem"), "broken").unwrap();
    for _ in 0..3 {
        let client = client(&server, world.client_tls()).await.unwrap();
        client.unary(task("a")).await.unwrap();
    }
    let told = warnings.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("server.pem") && told[0].contains("stay in use"),
        "{told:?}"
    );

    let new = Authority::new("the new authority");
    new.issue(&[NAME]).write(world.path(), "server");
    client(&server, trusting(&new)).await.unwrap();
    assert!(warnings.take().is_empty());
}

/// Callers of the same server at once; half of them with a new connection for each call.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_certificates_change_under_load() {
    let world = World::new();
    let server = serve_files(&world).await;
    let tls = world.client_tls();
    let lasting = client(&server, tls.clone()).await.unwrap();
    let mut open = Open::on(&lasting).await;
    let stop = CancellationToken::new();
    let made = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (stop, made, lasting) = (stop.clone(), Arc::clone(&made), lasting.clone());
        let (target, tls) = (server.target.clone(), tls.clone());
        callers.spawn(async move {
            while !stop.is_cancelled() {
                let client = match caller % 2 {
                    0 => lasting.clone(),
                    _ => {
                        let channel = crate::world::channel(&target, tls.clone());
                        ProbeClient::new(channel.connect().await.unwrap())
                    }
                };
                client.unary(task("load")).await.unwrap();
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for round in 0..30 {
        // By a rename, as those do who replace files in use; between the two, chain and key do not fit together.
        let folder = tempfile::tempdir_in(world.path()).unwrap();
        let new = world
            .authority
            .issue(&[NAME])
            .write(folder.path(), "server");
        fs::rename(new.chain, world.path().join("server.pem")).unwrap();
        client(&server, tls.clone()).await.unwrap();
        fs::rename(new.key, world.path().join("server.key")).unwrap();
        open.echoes(&round.to_string()).await;
        // So that each pair is served for a while, with all callers at it.
        let enough = made.load(Ordering::Relaxed) + 2 * CALLERS;
        while made.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if let Some(ended) = callers.try_join_next() {
                ended.expect("a call failed");
            }
        }
    }
    stop.cancel();
    while let Some(ended) = callers.join_next().await {
        ended.expect("a call failed");
    }
}
