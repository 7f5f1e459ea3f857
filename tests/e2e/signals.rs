//! Servers that are told to stop by signals: each is a process of its own, which is this program again.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use wireloom::server::Listener;
use wireloom::{Code, Server};

use crate::events::Events;
use crate::support::{ProbeClient, Task, service, task};

/// What the process says before its target.
const SERVING: &str = "serving on ";
/// What it says before what the log had of signals.
const TOLD: &str = "log: ";
/// What it says before the number of calls that it cut off.
const STOPPED: &str = "stopped, cut off: ";

#[tokio::test]
#[ignore = "is the process that the other tests start"]
async fn the_process() {
    if std::env::var_os("SIGNALLED_SERVER").is_none() {
        return;
    }
    let (events, _guard) = Events::listen();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    println!("\n{SERVING}{}", listener.target());
    let (service, _events) = service();
    let shutdown = Server::builder()
        .shutdown_timeout(Duration::from_secs(600))
        .add_service(service)
        .serve_until_signalled(listener)
        .await
        .unwrap();
    println!("\n{TOLD}{}", events.with(" by=").join("; "));
    println!("\n{STOPPED}{}", shutdown.cut_off_calls);
}

struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    target: String,
    client: ProbeClient,
}

impl Process {
    async fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "signals::the_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("SIGNALLED_SERVER", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let target = said(&mut output, SERVING).await;
        let client = ProbeClient::connect(&target).await.unwrap();
        Self {
            child,
            output,
            target,
            client,
        }
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.await.unwrap().success());
    }

    /// How many calls it cut off.
    async fn stopped(&mut self) -> usize {
        let said = said(&mut self.output, STOPPED);
        let said = tokio::time::timeout(Duration::from_secs(60), said).await;
        said.expect("it stops").parse().unwrap()
    }
}

async fn said(output: &mut Lines<BufReader<ChildStdout>>, before: &str) -> String {
    loop {
        let line = output.next_line().await.unwrap();
        if let Some(said) = line.expect("it runs").strip_prefix(before) {
            return said.to_owned();
        }
    }
}

#[tokio::test]
async fn sigterm_and_ctrl_c_each_stop_a_server() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start().await;
        process.client.unary(task("a")).await.unwrap();
        process.signal(signal).await;
        let told = said(&mut process.output, TOLD).await;
        let begins = format!("INFO shutting down by=\"SIG{signal}\" ");
        assert!(told.starts_with(&begins), "{told}");
        assert_eq!(process.stopped().await, 0, "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_cuts_off_at_once() {
    let mut process = Process::start().await;
    let hanging = Task {
        count: 1,
        hang: true,
        ..task("stream")
    };
    let call = process.client.server_stream(hanging).no_timeout();
    let mut outcomes = call.await.unwrap().into_inner();
    outcomes.message().await.unwrap().unwrap();

    process.signal("TERM").await;
    // It has taken the signal once it takes no connection any more.
    while ProbeClient::connect(&process.target).await.is_ok() {
        tokio::task::yield_now().await;
    }
    process.signal("TERM").await;
    let status = outcomes.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let told = said(&mut process.output, TOLD).await;
    let ends = "; INFO cutting off what has not ended by=\"SIGTERM\"";
    assert!(told.ends_with(ends), "{told}");
    assert_eq!(process.stopped().await, 1);
}
