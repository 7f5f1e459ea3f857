//! A name whose address changes in the hosts file, as the threads of the test see it.

use std::future::IntoFuture as _;
use std::{fs, thread};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use wireloom::Code;

use crate::load::Load;
use crate::server::Server;
use crate::{LONG, client, task};

/// The hosts file of the thread that made it, and of those that it starts.
struct Hosts(NamedTempFile);

impl Hosts {
    fn new() -> Self {
        let file = NamedTempFile::new().unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).unwrap();
        let path = Some(file.path());
        mount(path, "/etc/hosts", none, MsFlags::MS_BIND, none).unwrap();
        Self(file)
    }

    /// Says the name's address.
    fn set(&self, address: &str) {
        // Written in place: the mount is of this file.
        fs::write(self.0.path(), format!("{address} moving.test\n")).unwrap();
    }
}

#[test]
#[ignore = "needs root, for a hosts file of its own"]
fn no_call_that_waits_for_ready_fails_while_a_name_moves_with_its_server() {
    let moving = thread::spawn(|| {
        let hosts = Hosts::new();
        hosts.set("127.0.0.2");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async move {
            let start = |address: String| async move {
                let server = wireloom::Server::builder();
                Server::serve(server, address, &Handle::current()).await
            };
            let old = start("127.0.0.2:0".to_owned()).await;
            let port = old.address.port();
            let client = client(&format!("dns:///moving.test:{port}"), |builder| builder);
            let load = Load::start(4, LONG, move || {
                let call = client.unary(task("a")).wait_for_ready(true);
                call.timeout(LONG).into_future()
            });
            load.until_succeeded(100).await;
            let new = start(format!("127.0.0.3:{port}")).await;
            hosts.set("127.0.0.3");
            assert_eq!(old.stop().await.cut_off_calls, 0);
            load.until_succeeded(100).await;
            assert!(new.ended_calls() >= 100);
            load.stop().await.assert_all(&[Code::Ok]);
        });
    });
    moving.join().unwrap();
}
