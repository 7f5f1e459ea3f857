//! A server that is in etcd while it runs: `cargo run --bin server`, as often as you like.

use std::{error::Error, process::ExitCode, time::Duration};

use wireloom::{Server, server::Listener};

use etcd_resolver::{Entry, Registration, proto::whoami::WhoamiServer, service::Named};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let etcd = std::env::args().nth(1);
    let listener = Listener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr().ok_or("no TCP address")?.to_string();
    println!("serving on {address}; Ctrl-C stops");

    let registration = Registration {
        etcd: etcd.unwrap_or_else(|| "127.0.0.1:2379".to_owned()),
        key: format!("services/whoami/{address}"),
        server: Entry::new(address.as_str()),
        ttl: Duration::from_secs(10),
    };
    // Taken out of etcd first; then the calls under way are finished.
    let stopped = registration.keep_until(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    Server::builder()
        .shutdown_timeout(Duration::from_secs(10))
        .add_service(WhoamiServer::new(Named(address)))
        .serve_with_shutdown(listener, stopped)
        .await?;
    Ok(())
}
