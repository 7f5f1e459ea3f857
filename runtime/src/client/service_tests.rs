//! Requests as clients that tonic generated make them.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use tonic::{Code, Status};
use tower_service::Service as _;
use wireloom_peer::{Act, Peer};

use super::{CallOptions, ResponseBody, scripted_peer::Scripted as _};
use crate::{
    channel::Channel,
    frame,
    interceptor::{InterceptedCall, Interceptor, Next},
    service_config::ServiceConfig,
};

/// A body of these pieces of DATA.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

fn message() -> Bytes {
    frame::encode(&"request".to_owned()).unwrap()
}

fn request(pieces: impl Into<VecDeque<Bytes>>) -> Request<Pieces> {
    Request::post("http://scripted/test.Test/Unary")
        .header("grpc-accept-encoding", "gzip")
        .body(Pieces(pieces.into()))
        .unwrap()
}

async fn call(
    mut channel: Channel,
    request: Request<Pieces>,
) -> Result<Response<ResponseBody>, Status> {
    channel.call(request).await
}

#[tokio::test(start_paused = true)]
async fn a_config_s_limits_hold() {
    let config = r#"{"methodConfig": [{"name": [{}], "maxRequestMessageBytes": 8}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let channel = Peer::new([]).channel_with(|builder| builder.service_config(config));
    let status = call(channel, request([message()])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_client_s_timeout_replaces_the_channel_s_own() {
    let peer = Peer::new([]);
    let options = CallOptions::new().timeout(Duration::from_secs(3));
    let channel = peer.channel_with(|builder| builder.call_options(options));
    let mut request = request([message()]);
    let timeout = HeaderValue::from_static("10S");
    request.headers_mut().insert("grpc-timeout", timeout);
    call(channel, request).await.unwrap();
    assert_eq!(peer.seen()[0].header("grpc-timeout"), Some("10000000u"));
}

#[tokio::test(start_paused = true)]
async fn empty_data_is_passed_over() {
    let peer = Peer::new([]);
    let pieces = [Bytes::new(), message(), Bytes::new()];
    call(peer.channel(), request(pieces)).await.unwrap();
    let seen = peer.seen().pop().unwrap();
    assert_eq!(seen.messages(), [&message()[frame::HEADER_LEN..]]);
}

/// Says what is not an interceptor's to say, and answers with nothing that the call's response had.
struct Meddling;

impl Interceptor for Meddling {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<tonic::Response<()>, Status> {
        for (name, value) in [
            ("grpc-timeout", "1H"),
            ("grpc-previous-rpc-attempts", "7"),
            ("grpc-accept-encoding", "deflate"),
        ] {
            let value = value.parse().unwrap();
            call.metadata_mut().insert(name, value);
        }
        next.run(call).await?;
        Ok(tonic::Response::new(()))
    }
}

#[tokio::test(start_paused = true)]
async fn rule_25_an_interceptor_sets_no_reserved_metadata() {
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.interceptor(Meddling));
    call(channel, request([message()])).await.unwrap();
    let seen = peer.seen().pop().unwrap();
    let said = [
        "grpc-timeout",
        "grpc-previous-rpc-attempts",
        "grpc-accept-encoding",
    ];
    assert_eq!(
        said.map(|name| seen.header(name)),
        [None, None, Some("gzip")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_s_own_response_keeps_what_the_protocol_says() {
    let act = Act::read()
        .headers_with(&[("grpc-encoding", "gzip"), ("tenant", "blue")])
        .message("answer")
        .trailers(Code::Ok);
    let peer = Peer::new([act]);
    let channel = peer.channel_with(|builder| builder.interceptor(Meddling));
    let response = call(channel, request([message()])).await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.as_bytes());
    assert_eq!(header("grpc-encoding"), Some(&b"gzip"[..]));
    assert_eq!(header("tenant"), None);
}
