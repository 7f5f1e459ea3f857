//! What is set on a call, or for all calls of a channel.

use std::time::Duration;

use tokio::time::Instant;
use tokio_stream as stream;
use tonic::{Code, Status, metadata::MetadataMap};
use wireloom_peer::{Act, Peer, Seen};

use super::{
    CallOptions,
    scripted_peer::{Scripted as _, settle, unavailable},
};
use crate::{
    channel::{Channel, ChannelBuilder},
    method::Method,
    policy::{RetryPolicy, StatusCodes},
    service_config::ServiceConfig,
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static SENDS: Method<String, String> = Method::client_streaming("/test.Test/Sends");

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 2,
    initial_backoff: Duration::from_millis(1),
    max_backoff: Duration::from_millis(1),
    backoff_multiplier: 1.0,
    retryable_status_codes: StatusCodes::new(&[Code::Internal]),
};

fn request() -> String {
    "request".to_owned()
}

/// A channel whose calls are made with `options`.
fn with(options: CallOptions) -> impl FnOnce(ChannelBuilder) -> ChannelBuilder {
    |builder| builder.call_options(options)
}

/// What came of a call on `channel`, and what the peer saw of it.
async fn one_call(peer: &Peer, channel: &Channel) -> (Result<String, Status>, Vec<Seen>) {
    let before = peer.seen().len();
    let answer = channel.unary(&UNARY, request()).await;
    let seen = peer.seen().split_off(before);
    (answer.map(tonic::Response::into_inner), seen)
}

#[tokio::test(start_paused = true)]
async fn a_channel_s_options_hold_where_a_call_says_nothing() {
    let peer = Peer::new([]);
    let options = CallOptions::new()
        .timeout(Duration::from_secs(3))
        .metadata("tenant", "blue")
        .metadata("tenant", "green")
        .metadata("region", "north");
    let channel = peer.channel_with(with(options));
    let (_, seen) = one_call(&peer, &channel).await;
    assert_eq!(seen[0].header("grpc-timeout"), Some("3000000u"));
    let tenants: Vec<_> = seen[0].headers.get_all("tenant").iter().collect();
    assert_eq!(tenants, ["blue", "green"]);

    channel
        .unary(&UNARY, request())
        .timeout(Duration::from_secs(1))
        .metadata("tenant", "red")
        .await
        .unwrap();
    let seen = peer.seen().pop().unwrap();
    assert_eq!(seen.header("grpc-timeout"), Some("1000000u"));
    let tenants: Vec<_> = seen.headers.get_all("tenant").iter().collect();
    assert_eq!(tenants, ["red"]);
    assert_eq!(seen.header("region"), Some("north"));
}

#[tokio::test(start_paused = true)]
async fn a_channel_s_timeout_counts_from_each_call() {
    let peer = Peer::new([Act::stall(), Act::stall()]);
    let channel = peer.channel_with(with(CallOptions::new().timeout(Duration::from_secs(3))));
    for _ in 0..2 {
        let start = Instant::now();
        let (answer, _) = one_call(&peer, &channel).await;
        assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(start.elapsed().as_millis(), 3000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_s_policy_wins_over_the_config_s_and_the_call_s_over_both() {
    let config = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let internal = Act::fail(Code::Internal);
    let peer = Peer::new([internal.clone(), internal.clone(), internal]);
    let channel = peer.channel_with(|builder| {
        let options = CallOptions::new().retry_policy(POLICY);
        builder.service_config(config).call_options(options)
    });
    let (answer, seen) = one_call(&peer, &channel).await;
    assert_eq!(
        (answer.unwrap_err().code(), seen.len()),
        (Code::Internal, 2)
    );
    channel
        .unary(&UNARY, request())
        .no_retry()
        .await
        .unwrap_err();
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test]
async fn invalid_options_fail_the_making_of_the_channel_and_the_call() {
    let invalid = [
        CallOptions::new().metadata("grpc-status", "0"),
        CallOptions::new().metadata("tenant", "line\nbreak"),
        CallOptions::new().metadata("tenant-bin", "text"),
        CallOptions::new().binary_metadata("tenant", [1]),
        CallOptions::new().binary_metadata("grpc-status-details-bin", [1]),
        CallOptions::new().idempotency_key(""),
        CallOptions::new().retry_policy(RetryPolicy {
            max_attempts: 1,
            ..POLICY
        }),
    ];
    for options in invalid {
        let builder = Channel::builder("localhost:1").call_options(options);
        assert_eq!(builder.lazy().unwrap_err().code(), Code::InvalidArgument);
    }
    let peer = Peer::new([]);
    let call = peer.channel().unary(&UNARY, request());
    let status = call.binary_metadata("tenant", [1]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(peer.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn binary_metadata_is_sent_in_base64() {
    let peer = Peer::new([]);
    let call = peer.channel().unary(&UNARY, request());
    call.binary_metadata("trace-bin", [0, 255]).await.unwrap();
    let metadata = MetadataMap::from_headers(peer.seen()[0].headers.clone());
    let value = metadata.get_bin("trace-bin").unwrap().to_bytes().unwrap();
    assert_eq!(value.as_ref(), [0, 255]);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_not_sent() {
    let peer = Peer::new([]);
    // One byte for the field, one for its length.
    let size = request().len() + 2;
    let call = || peer.channel().unary(&UNARY, request());
    call().max_send_message_size(size).await.unwrap();
    let status = call().max_send_message_size(size - 1).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("max_send_message_size is 8"),
        "{status}"
    );
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_ends_a_stream_that_is_being_sent() {
    let peer = Peer::new([]);
    let messages = stream::iter(["short".to_owned(), "x".repeat(100)]);
    let channel = peer.channel();
    let call = channel.client_streaming(&SENDS, messages);
    let status = call.max_send_message_size(50).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    settle().await;
    assert_eq!(channel.replay_buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_over_the_call_s_limit_ends_it() {
    let peer = Peer::new([]);
    let call = peer.channel().unary(&UNARY, request());
    let status = call.max_receive_message_size(3).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("max_receive_message_size is 3"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_smaller_of_the_config_s_limit_and_the_caller_s_holds() {
    let config = r#"{"methodConfig": [{"name": [{}],
        "maxRequestMessageBytes": 8, "maxResponseMessageBytes": "7"}]}"#;
    let config = ServiceConfig::from_json(config).unwrap();
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.service_config(config));
    let call = || channel.unary(&UNARY, "r".to_owned());
    let codes = [
        channel.unary(&UNARY, request()).await.unwrap_err().code(),
        call().max_send_message_size(2).await.unwrap_err().code(),
        call()
            .max_receive_message_size(100)
            .await
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::ResourceExhausted; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_the_same_on_all_attempts_and_makes_the_call_retried() {
    let peer = Peer::new([unavailable(), unavailable()]);
    let call = peer.channel().unary(&UNARY, request());
    call.idempotency_key("order-17").await.unwrap();
    let keys: Vec<_> = peer.seen();
    let keys: Vec<_> = keys
        .iter()
        .map(|seen| seen.header("idempotency-key"))
        .collect();
    assert_eq!(keys, [Some("order-17"); 3]);
}

#[tokio::test(start_paused = true)]
async fn random_idempotency_keys_are_one_per_call() {
    let peer = Peer::new([unavailable()]);
    let channel = peer.channel_with(with(CallOptions::new().random_idempotency_keys()));
    let (_, first) = one_call(&peer, &channel).await;
    let (_, second) = one_call(&peer, &channel).await;
    let key = |seen: &Seen| seen.header("idempotency-key").unwrap().to_owned();
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!(key(&first[0]), key(&first[1]));
    assert_ne!(key(&first[0]), key(&second[0]));
}

#[tokio::test(start_paused = true)]
async fn what_all_calls_keep_is_within_the_channel_s_limit() {
    static RETRIED: Method<String, String> = Method::client_streaming("/test.Test/Retried")
        .with_retry_policy(RetryPolicy {
            retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
            ..POLICY
        });
    let peer = Peer::new([unavailable(), Act::read().answer(), unavailable()]);
    let channel = peer.channel_with(|builder| builder.max_channel_replay_buffer_size(20));
    let messages = |word: &str| stream::iter([word.to_owned()]);
    let small = channel.client_streaming(&RETRIED, messages("small")).await;
    small.unwrap();
    let large = messages("larger than twenty bytes");
    let large = channel.client_streaming(&RETRIED, large).await;
    assert_eq!(large.unwrap_err().code(), Code::Unavailable);
    assert_eq!(channel.replay_buffered_bytes(), 0);
}

#[cfg(feature = "gzip")]
#[tokio::test(start_paused = true)]
async fn a_call_s_messages_are_compressed_once_for_all_attempts() {
    use crate::{
        compression::Compression,
        frame::{self, FrameReader},
    };
    let peer = Peer::new([unavailable()]);
    let large = "x".repeat(10_000);
    let call = peer.channel().unary(&UNARY, large.clone());
    let call = call.compression(Compression::Gzip).idempotency_key("key");
    call.await.unwrap();
    let seen = peer.seen();
    assert_eq!(seen[1].header("grpc-encoding"), Some("gzip"));
    assert!(
        seen[1]
            .header("grpc-accept-encoding")
            .unwrap()
            .contains("gzip")
    );
    assert_eq!(seen[0].body, seen[1].body);
    assert!(seen[1].body.len() < 1000);
    let mut reader = FrameReader::new(20_000, Compression::Gzip);
    reader.push(seen[1].body.clone().into());
    let message = reader.next().unwrap().unwrap();
    assert_eq!(frame::decode::<String>(message).unwrap(), large);
}

#[cfg(feature = "gzip")]
#[tokio::test(start_paused = true)]
async fn a_compressed_response_is_read() {
    use crate::{compression::Compression, frame};
    let frame = frame::encode(&"answer".to_owned()).unwrap();
    let frame = frame::compress(frame, Compression::Gzip).unwrap();
    let act = |encoding| {
        Act::read()
            .headers_with(&[("grpc-encoding", encoding)])
            .step(wireloom_peer::Step::Data(frame.to_vec()))
            .trailers(0)
    };
    let peer = Peer::new([act("gzip"), act("snappy")]);
    let channel = peer.channel();
    let answer = channel.unary(&UNARY, request()).await.unwrap();
    assert_eq!(answer.get_ref(), "answer");
    assert!(answer.metadata().get("grpc-encoding").is_none());
    let status = channel.unary(&UNARY, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("grpc-encoding"), "{status}");
}
