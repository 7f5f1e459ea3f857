//! Two machines and the wire between them.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{process, sync, thread};

use nix::sched::{CloneFlags, setns};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::server::Server;

/// The server; the namespaces of all tests have the same addresses.
pub const TARGET: &str = "http://10.0.0.2:50051";
const ADDRESS: &str = "10.0.0.2:50051";

/// Two network namespaces, with a server in one; gone when dropped.
pub struct Wire {
    client: Namespace,
    server: Namespace,
}

struct Namespace(String);

impl Wire {
    pub fn new() -> Self {
        static WIRES: AtomicUsize = AtomicUsize::new(0);
        let wire = WIRES.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("wireloom-{}-{wire}-{side}", process::id());
        let client = Namespace::new(name("client"));
        let server = Namespace::new(name("server"));
        let Namespace(other) = &server;
        client.run(&format!(
            "ip link add wire type veth peer name wire netns {other}"
        ));
        for (namespace, address) in [(&client, "10.0.0.1/24"), (&server, "10.0.0.2/24")] {
            namespace.run(&format!("ip address add {address} dev wire"));
            namespace.run("ip link set wire up");
            namespace.run("nft add table inet faults");
            namespace
                .run("nft add chain inet faults input { type filter hook input priority 0 ; }");
        }
        Self { client, server }
    }

    /// Runs a command on the client's side.
    pub fn at_client(&self, command: &str) {
        self.client.run(command);
    }

    /// Runs a command on the server's side.
    pub fn at_server(&self, command: &str) {
        self.server.run(command);
    }

    /// Runs `test` on the client's side, while a server runs on the other.
    pub fn run(&self, test: impl AsyncFnOnce(&Self) + Send) {
        let (serves, is_served) = sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                self.server.block_on(async move || {
                    let server = wireloom::Server::builder();
                    let _server = Server::serve(server, ADDRESS, &Handle::current()).await;
                    serves.send(()).unwrap();
                    let _ = stopped.await;
                });
            });
            is_served.recv().unwrap();
            let tested = scope.spawn(|| self.client.block_on(async || test(self).await));
            let tested = tested.join();
            drop(stop);
            tested.unwrap();
        });
    }
}

impl Namespace {
    fn new(name: String) -> Self {
        run("ip", &["netns", "add", &name]);
        Self(name)
    }

    fn run(&self, command: &str) {
        let mut arguments = vec!["netns", "exec", &self.0];
        arguments.extend(command.split(' '));
        run("ip", &arguments);
    }

    /// Runs `work` on this thread, which stays in the namespace.
    fn block_on(&self, work: impl AsyncFnOnce()) {
        let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(work());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let deleted = Command::new("ip").args(["netns", "del", &self.0]).status();
        if let Err(error) = deleted {
            eprintln!("{error}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
}
