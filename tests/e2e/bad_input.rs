//! Requests and targets that are not what they should be.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use wireloom::server::Listener;
use wireloom::{Channel, Code, Method};

use crate::support::{Outcome, Task, serve, task};

/// Sends a request by hand and gives the response's head and trailers.
async fn send(
    target: &str,
    request: Request<()>,
    body: Option<Bytes>,
) -> (Response<()>, HeaderMap) {
    let io = tokio::net::TcpStream::connect(target.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let (mut sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let (response, mut stream) = sender.send_request(request, body.is_none()).unwrap();
    if let Some(body) = body {
        stream.send_data(body, true).unwrap();
    }
    let (parts, mut body) = response.await.unwrap().into_parts();
    while let Some(data) = body.data().await {
        data.unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    (Response::from_parts(parts, ()), trailers)
}

fn post(path: &str) -> http::request::Builder {
    Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc")
}

const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; 5]);

#[tokio::test]
async fn a_method_or_service_that_does_not_exist_is_unimplemented() {
    static NO_METHOD: Method<Task, Outcome> = Method::unary("/probe.Probe/Nothing");
    static NO_SERVICE: Method<Task, Outcome> = Method::unary("/probe.Nothing/Unary");
    let (server, _) = serve().await;
    let channel = Channel::connect(&server.target).await.unwrap();
    for method in [&NO_METHOD, &NO_SERVICE] {
        let status = channel.unary(method, task("a")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(
            status.message().contains(method.descriptor().path()),
            "{status}"
        );
    }
}

#[tokio::test]
async fn what_is_not_grpc_gets_an_http_answer() {
    let (server, _) = serve().await;
    let json = Request::post("http://localhost/probe.Probe/Unary")
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    assert_eq!(
        send(&server.target, json, None).await.0.status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let get = Request::get("http://localhost/").body(()).unwrap();
    assert_eq!(
        send(&server.target, get, None).await.0.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn rule_48_a_malformed_grpc_timeout_is_refused_with_what_it_should_be() {
    let (server, _) = serve().await;
    let request = post("/probe.Probe/Unary")
        .header("grpc-timeout", "soon")
        .body(())
        .unwrap();
    let (response, _) = send(&server.target, request, Some(EMPTY_MESSAGE)).await;
    assert_eq!(response.headers()["grpc-status"], "3");
    let message = response.headers()["grpc-message"].to_str().unwrap();
    assert!(message.contains("digits"), "{message}");
}

#[tokio::test]
async fn a_unary_request_without_a_message_or_with_two_is_refused() {
    let (server, _) = serve().await;
    for body in [Bytes::new(), Bytes::from_static(&[0; 10])] {
        let request = post("/probe.Probe/Unary").body(()).unwrap();
        let (response, _) = send(&server.target, request, Some(body)).await;
        assert_eq!(response.headers()["grpc-status"], "13");
    }
}

#[tokio::test]
async fn a_request_that_ends_inside_a_message_is_refused() {
    let (server, _) = serve().await;
    let request = post("/probe.Probe/Unary").body(()).unwrap();
    let torn = Bytes::from_static(&[0, 0, 0, 0, 9, 1]);
    let (response, _) = send(&server.target, request, Some(torn)).await;
    assert_eq!(response.headers()["grpc-status"], "13");
}

#[tokio::test]
async fn a_response_has_its_status_in_trailers_after_a_message() {
    let (server, _) = serve().await;
    let request = post("/probe.Probe/Unary").body(()).unwrap();
    let (response, trailers) = send(&server.target, request, Some(EMPTY_MESSAGE)).await;
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert!(!response.headers().contains_key("grpc-status"));
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_the_side_that_reads_it() {
    let (server, client) = serve().await;
    let large = Task {
        padding: vec![0; 5 << 20],
        ..task("a")
    };
    let status = client.unary(large).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("max_receive_message_size"),
        "{status}"
    );

    let channel = Channel::builder(&server.target)
        .max_receive_message_size(3)
        .lazy()
        .unwrap();
    let client = crate::support::ProbeClient::new(channel);
    let status = client.unary(task("long name")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_target_where_nothing_listens_is_unavailable_and_named() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    drop(listener);
    let status = Channel::connect(&target).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .message()
            .contains(target.strip_prefix("http://").unwrap()),
        "{status}"
    );
}

#[tokio::test]
async fn invalid_metadata_fails_the_call_and_is_named() {
    let (_server, client) = serve().await;
    for (key, value) in [
        ("no spaces", "x"),
        ("tenant", "line\nbreak"),
        ("data-bin", "x"),
        ("grpc-status", "0"),
        ("connection", "close"),
    ] {
        let status = client
            .unary(task("a"))
            .metadata(key, value)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(key), "{status}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_refused_and_named() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let status = Listener::bind(&address).await.unwrap_err();
    assert!(status.message().contains(&address), "{status}");
}

#[tokio::test]
async fn metadata_that_the_protocol_reserves_is_left_out() {
    let (_server, client) = serve().await;
    let mut request = wireloom::Request::new(task("a"));
    // As a handler does that passes on all the metadata that it got.
    for (key, value) in [
        ("grpc-previous-rpc-attempts", "7"),
        ("te", "trailers"),
        ("connection", "close"),
    ] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    assert_eq!(
        client
            .unary(request)
            .await
            .unwrap()
            .into_inner()
            .previous_attempts,
        0
    );
}

#[tokio::test]
async fn what_is_no_address_is_refused_with_examples() {
    for address in [
        "50051",
        "localhost",
        "grpc://localhost:50051",
        "/run/probe.sock",
    ] {
        let status = Listener::bind(address).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("127.0.0.1:50051"), "{status}");
    }
}

#[tokio::test]
async fn a_target_is_an_address_to_listen_on() {
    let listener = Listener::bind("http://127.0.0.1:0").await.unwrap();
    assert!(listener.local_addr().is_some());
}
