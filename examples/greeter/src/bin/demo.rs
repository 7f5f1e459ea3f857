//! Server and client in one process: `cargo run`.

use std::process::ExitCode;
use std::time::Duration;

use wireloom::server::Listener;
use wireloom::{Server, Status};

use greeter::calls::make_all_calls;
use greeter::proto::helloworld::{GreeterClient, GreeterServer};
use greeter::service::HelloGreeter;

#[tokio::main(flavor = "current_thread")]
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
    let listener = Listener::bind("127.0.0.1:0").await?;
    let target = listener.target().to_string();

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let server = Server::builder()
        .shutdown_timeout(Duration::from_secs(5))
        .add_service(GreeterServer::new(HelloGreeter))
        .serve_with_shutdown(listener, async {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);

    let client = GreeterClient::connect(&target).await?;
    println!("serving on {target}");
    make_all_calls(&client).await?;

    let _ = stop.send(());
    let shutdown = server
        .await
        .map_err(|error| Status::internal(error.to_string()))??;
    println!("shut down; calls cut off: {}", shutdown.cut_off_calls);
    Ok(())
}
