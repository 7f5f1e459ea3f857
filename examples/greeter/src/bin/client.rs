//! The client, for a server that runs: `cargo run --bin client`, with a target such as `http://localhost:50051`.

use std::process::ExitCode;

use wireloom::Status;

use greeter::calls::make_all_calls;
use greeter::proto::helloworld::GreeterClient;

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
    let target = std::env::args().nth(1);
    let target = target.as_deref().unwrap_or("http://127.0.0.1:50051");
    let client = GreeterClient::connect(target).await?;
    make_all_calls(&client).await
}
