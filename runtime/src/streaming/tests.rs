use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use wireloom_peer::{Act, Peer, Step};

use super::Streaming;
use crate::{client::scripted_peer::Scripted as _, frame, method::Method};

static MANY: Method<String, String> = Method::server_streaming("/test.Test/Many");

fn frames(words: &[&str]) -> Vec<u8> {
    let frames = words.iter().map(|word| frame::encode(&word.to_string()));
    frames.flat_map(|frame| frame.unwrap()).collect()
}

/// The responses of a peer that sends `data` and leaves the response open, of at most eight bytes each.
async fn responses(data: Vec<u8>) -> Streaming<String> {
    let peer = Peer::new([Act::read().headers().step(Step::Data(data))]);
    let channel = peer.channel();
    let call = channel.server_streaming(&MANY, "request".to_owned());
    let call = call
        .timeout(Duration::from_secs(1))
        .max_receive_message_size(8);
    call.await.unwrap().into_inner()
}

/// The codes of the next items, up to ten: a stream that does not end yields more for ever.
async fn next_ten(responses: Streaming<String>) -> Vec<Code> {
    let code = |item: Result<String, Status>| item.err().map_or(Code::Ok, |status| status.code());
    responses.map(code).take(10).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_a_message_over_the_limit() {
    let responses = responses(frames(&["one", "far too long", "two"])).await;
    assert_eq!(
        next_ten(responses).await,
        [Code::Ok, Code::ResourceExhausted]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_a_message_that_cannot_be_decoded() {
    let mut data = vec![0, 0, 0, 0, 1, 0xff];
    data.extend(frames(&["one", "two"]));
    assert_eq!(next_ten(responses(data).await).await, [Code::Internal]);
}

#[tokio::test(start_paused = true)]
async fn rule_49_nothing_that_came_in_time_comes_out_after_the_deadline() {
    let mut responses = responses(frames(&["one", "two", "three"])).await;
    assert_eq!(responses.message().await.unwrap().unwrap(), "one");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(next_ten(responses).await, [Code::DeadlineExceeded]);
}
