//! Connections that take all the descriptors that the server's process may have.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::server::Server;
use crate::{LONG, PATIENCE, client, task};

/// How many descriptors the server may have.
const DESCRIPTORS: u64 = 40;

/// What the process says before its address.
const SERVING: &str = "serving on ";

const IS_PROCESS: &str = "SERVER_OF_FEW_DESCRIPTORS";

#[tokio::test]
#[ignore = "is the process that the other test starts"]
async fn the_process() {
    if std::env::var_os(IS_PROCESS).is_none() {
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).unwrap();
    // Connections that say nothing stay for as long as the test takes.
    let server = wireloom::Server::builder().handshake_timeout(Duration::from_secs(600));
    let server = Server::start(server).await;
    println!("\n{SERVING}{}", server.address);
    std::future::pending::<()>().await;
}

/// The process, and where it serves.
async fn start() -> (Child, String) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["attacks::descriptors::the_process", "--exact"])
        .args(["--ignored", "--nocapture"])
        .env(IS_PROCESS, "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    loop {
        let line = output.next_line().await.unwrap().expect("it runs");
        if let Some(address) = line.strip_prefix(SERVING) {
            return (process, address.to_owned());
        }
    }
}

/// How many descriptors a process has.
fn descriptors_of(process: &Child) -> u64 {
    let folder = format!("/proc/{}/fd", process.id().unwrap());
    std::fs::read_dir(folder).unwrap().count() as u64
}

#[tokio::test]
async fn a_server_without_a_descriptor_left_serves_whom_it_has_and_goes_on_once_there_are_some() {
    let (process, address) = start().await;
    let target = format!("http://{address}");
    let before = client(&target, |builder| builder);
    before.unary(task("a")).timeout(LONG).await.unwrap();

    let mut attackers = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        attackers.push(TcpStream::connect(&address).await.unwrap());
    }
    crate::until(|| descriptors_of(&process) >= DESCRIPTORS).await;
    before.unary(task("a")).timeout(LONG).await.unwrap();
    let late = client(&target, |builder| builder.connect_timeout(PATIENCE));
    let short = Duration::from_millis(300);
    late.unary(task("a")).timeout(short).await.unwrap_err();

    drop(attackers);
    let call = late.unary(task("a")).wait_for_ready(true);
    call.timeout(LONG).await.unwrap();
    before.unary(task("a")).timeout(LONG).await.unwrap();
}
