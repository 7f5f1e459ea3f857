//! The server: `cargo run --bin server`, or `cargo run --bin server -- unix:/tmp/greeter.sock`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::fmt::format::FmtSpan;
use wireloom::Server;
use wireloom::server::Listener;

use greeter::proto::helloworld::GreeterServer;
use greeter::service::HelloGreeter;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // A line for each call as it ends, with its trace id.
    tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .init();

    let address = std::env::args().nth(1);
    let listener = Listener::bind(address.as_deref().unwrap_or("127.0.0.1:50051")).await?;
    println!("serving on {}; Ctrl-C stops", listener.target());

    let shutdown = Server::builder()
        .shutdown_timeout(Duration::from_secs(10))
        // What wireloom.toml and the environment say wins over what stands above.
        .configured()?
        .add_service(GreeterServer::new(HelloGreeter))
        .serve_until_signalled(listener)
        .await?;
    println!("shut down, {} calls cut off", shutdown.cut_off_calls);
    Ok(())
}
