//! The server: `cargo run --bin server`, or `cargo run --bin server -- unix:/tmp/greeter.sock`.

use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::fmt::format::FmtSpan;
use wireloom::server::Listener;
use wireloom::{Server, Status};

use greeter::proto::helloworld::GreeterServer;
use greeter::service::HelloGreeter;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.message());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Status> {
    // A line for each call as it ends, with its trace id, and some of the server itself.
    tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .init();

    let server = Server::builder()
        .listen(["127.0.0.1:50051"])
        .shutdown_timeout(Duration::from_secs(10))
        // What wireloom.toml and the environment say wins over what stands above.
        .configured()?;
    let listeners = match std::env::args().nth(1) {
        Some(address) => Listener::bind(&address).await?.into(),
        None => server.listeners().await?,
    };

    // The log says where it listens once it serves; Ctrl-C stops it.
    server
        .add_service(GreeterServer::new(HelloGreeter))
        .serve_until_signalled(listeners)
        .await?;
    Ok(())
}
