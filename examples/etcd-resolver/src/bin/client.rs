//! Asks which server answers, five times a second: `cargo run --bin client`.

use std::{process::ExitCode, time::Duration};

use wireloom::{Channel, LoadBalancing, Status};

use etcd_resolver::{
    EtcdResolver,
    proto::whoami::{AskRequest, WhoamiClient},
};

const TARGET: &str = "etcd:///services/whoami";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => {
            eprintln!("error: {}", status.message());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Status> {
    let etcd = std::env::args().nth(1);
    let etcd = etcd.as_deref().unwrap_or("127.0.0.1:2379");
    let channel = Channel::builder(TARGET)
        .resolver(EtcdResolver::new(etcd, TARGET)?)
        .load_balancing(LoadBalancing::RoundRobin)
        .lazy()?;
    let client = WhoamiClient::new(channel);
    loop {
        match client.ask(AskRequest { think_ms: 0 }).await {
            Ok(reply) => println!("{}", reply.into_inner().name),
            Err(status) => println!("{:?}: {}", status.code(), status.message()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
