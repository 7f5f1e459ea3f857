//! What the crates to build are written from. What is between two `@` is there once for each method, `#` being its
//! number.

use super::METHODS;

/// A source with the part for each method repeated.
pub(crate) fn for_each_method(text: &str) -> String {
    let repeat = |(at, part): (usize, &str)| match at % 2 {
        0 => part.to_owned(),
        _ => (0..METHODS)
            .map(|method| part.replace('#', &method.to_string()))
            .collect(),
    };
    text.split('@').enumerate().map(repeat).collect()
}

pub(crate) const PROTO: &str = r#"syntax = "proto3";
package bench;

service Bench {@
  rpc Method#(Method#Request) returns (Method#Response);
@}
@
message Method#Request {
  uint64 id = 1;
  string name = 2;
  repeated string tags = 3;
  bool dry_run = 4;
}
message Method#Response {
  uint64 id = 1;
  string name = 2;
  bytes payload = 3;
  int64 changed_at = 4;
}
@"#;

pub(crate) const TOKIO: &str =
    "tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }\n";

pub(crate) const WIRELOOM_HANDLER: &str = r#"
use pb::bench::*;
use wireloom::{Channel, Request, Response, Status, server::{Listener, Server}};

struct Handler;

impl Bench for Handler {@
    async fn method#(&self, request: Request<Method#Request>) -> Result<Response<Method#Response>, Status> {
        let request = request.into_inner();
        Ok(Response::new(Method#Response { id: request.id, name: request.name, ..Default::default() }))
    }
@}

async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = Listener::bind("127.0.0.1:50051").await?;
    Server::builder().add_service(BenchServer::new(Handler)).serve(listener).await?;
    Ok(())
}
"#;

pub(crate) const WIRELOOM_CALLS: &str = r#"
async fn call() -> Result<u64, Status> {
    let client = BenchClient::new(Channel::connect("http://127.0.0.1:50051").await?);
    let mut sum = 0;@
    sum += client.method#(Method#Request::default()).await?.into_inner().id;
@    Ok(sum)
}
"#;

pub(crate) const TONIC_HANDLER: &str = r#"
use pb::bench::{*, bench_client::BenchClient, bench_server::{Bench, BenchServer}};
use tonic::{Request, Response, Status, transport::Server};

struct Handler;

#[tonic::async_trait]
impl Bench for Handler {@
    async fn method#(&self, request: Request<Method#Request>) -> Result<Response<Method#Response>, Status> {
        let request = request.into_inner();
        Ok(Response::new(Method#Response { id: request.id, name: request.name, ..Default::default() }))
    }
@}

async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = "127.0.0.1:50051".parse()?;
    Server::builder().add_service(BenchServer::new(Handler)).serve(address).await?;
    Ok(())
}
"#;

pub(crate) const TONIC_CALLS: &str = r#"
async fn call() -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let mut client = BenchClient::connect("http://127.0.0.1:50051").await?;
    let mut sum = 0;@
    sum += client.method#(Method#Request::default()).await?.into_inner().id;
@    Ok(sum)
}
"#;

pub(crate) const PROGRAM_END: &str = r#"
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tokio::select! {
        biased; // The server listens first.
        served = serve() => served,
        called = call() => { println!("{}", called?); Ok(()) }
    }
}
"#;

// What these return has no type parameter: all of it is compiled here, rather than where it is used.
pub(crate) const LIBRARY_END: &str = "
type Task = std::pin::Pin<Box<dyn Future<Output = Result<u64, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

pub fn boxed_serve() -> Task { Box::pin(async { serve().await.map(|()| 0) }) }
pub fn boxed_call() -> Task { Box::pin(async { Ok(call().await?) }) }
";

pub(crate) const TONIC_GENERATOR: &str = "tonic-generator";

// A package of its own: as a dependency of the tests, it would switch features of prost-build on that the generator
// is tested without.
pub(crate) const TONIC_MANIFEST: &str = r#"[package]
name = "tonic-generator"
edition = "2024"

[dependencies]
protox = "0.10"
tonic-prost-build = "0.14"

[workspace]
"#;

pub(crate) const TONIC_MAIN: &str = r#"
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proto, folder, out, stubs] = arguments.as_slice() else {
        return Err("expected proto, folder, output and whether to write stubs".into());
    };
    let stubs = stubs.parse()?;
    tonic_prost_build::configure()
        .build_client(stubs)
        .build_server(stubs)
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(protox::compile([proto], [folder])?)?;
    Ok(())
}
"#;
