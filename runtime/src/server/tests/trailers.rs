//! What calls end with, as large as their callers take.

use tokio::net::TcpStream;
use tokio_stream as stream;
use tonic::{Request, Response, Status};

use super::{Call, MANY, Serve, Server, UNARY, frame, listen};

const TONIC: &str = "tonic/0.14.9";
const PYTHON: &str = "grpc-python/1.76.0 grpc-c/51.0.0 (linux; chttp2)";

/// Ends calls with a message of 100,000 bytes, and details of 5000.
fn server() -> Server {
    let status = || {
        let details = vec![7; 5000].into();
        Status::with_details(tonic::Code::NotFound, "x".repeat(100_000), details)
    };
    Server::builder().add_service(Serve(move |call: Call| async move {
        match call.path() {
            "/test.Test/Unary" => {
                let handler = async |_: Request<String>| Err(status());
                call.unary(&UNARY, handler).await
            }
            _ => {
                let replies = [Ok("reply".to_owned()), Err(status())];
                let handler = async |_: Request<String>| Ok(Response::new(stream::iter(replies)));
                call.server_streaming(&MANY, handler).await
            }
        }
    }))
}

/// What a call ends with whose caller says that it takes so much, and what it is.
async fn trailers(
    server: Server,
    path: &str,
    max: Option<u32>,
    agent: &'static str,
) -> http::HeaderMap {
    let target = listen(server).await;
    let address = target.strip_prefix("http://").unwrap();
    let io = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    if let Some(max) = max {
        builder.max_header_list_size(max);
    }
    let (mut sender, connection) = builder.handshake(io).await.unwrap();
    tokio::spawn(connection);
    let head = http::Request::post(format!("{target}{path}"))
        .header("content-type", "application/grpc")
        .header("user-agent", agent)
        .body(());
    let (response, mut body) = sender.send_request(head.unwrap(), false).unwrap();
    let message = frame::encode(&"request".to_owned()).unwrap();
    body.send_data(message, true).unwrap();
    let response = response
        .await
        .unwrap_or_else(|e| panic!("{path} {max:?} {e}"));
    if response.headers().contains_key("grpc-status") {
        return response.headers().clone();
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        data.unwrap();
    }
    body.trailers().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_status_is_as_large_as_its_caller_takes() {
    let layer = tower_layer::Identity::new;
    for path in ["/test.Test/Unary", "/test.Test/Many"] {
        for is_layered in [false, true] {
            let server = || match is_layered {
                true => server().layer(layer()),
                false => server(),
            };
            for (max, agent, message, has_details) in [
                (None, TONIC, 100_000..100_001, true),
                (Some(4000), TONIC, 3000..4000, false),
                (Some(16 << 10), TONIC, 9400..9700, true),
                (Some(16 << 10), PYTHON, 1000..2000, true),
                (Some(1 << 20), PYTHON, 100_000..100_001, true),
            ] {
                let trailers = trailers(server(), path, max, agent).await;
                assert_eq!(trailers["grpc-status"], "5");
                let len = trailers["grpc-message"].len();
                assert!(message.contains(&len), "{path} {max:?} {agent}: {len}");
                let details = trailers.contains_key("grpc-status-details-bin");
                assert_eq!(details, has_details, "{path} {max:?}");
            }
        }
    }
}
