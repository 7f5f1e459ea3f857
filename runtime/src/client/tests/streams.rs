use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::Stream;

use super::*;

#[tokio::test(start_paused = true)]
async fn rule_22_a_retry_replays_messages_and_half_close_in_order() {
    let peer = Peer::new([unavailable(), unavailable()]);
    let messages = stream::iter(["one", "two", "three"].map(str::to_owned));
    peer.channel()
        .client_streaming(&RETRIED_STREAM, messages)
        .await
        .unwrap();
    let bodies: Vec<_> = peer.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies.len(), 3);
    let text = String::from_utf8_lossy(&bodies[0]).into_owned();
    let positions = ["one", "two", "three"].map(|word| text.find(word).unwrap());
    assert!(positions.is_sorted());
    assert!(bodies.iter().all(|body| body == &bodies[0]));
}

#[tokio::test(start_paused = true)]
async fn an_unread_request_stream_holds_at_most_what_the_window_takes() {
    let peer = Peer::new([Act::read().answer()]);
    let messages = stream::iter(0..).map(|_| "x".repeat(1 << 16)).take(64);
    peer.channel()
        .client_streaming(&RETRIED_STREAM, messages)
        .await
        .unwrap();
    assert!(peer.seen()[0].body.len() > 64 << 16);
}

#[tokio::test(start_paused = true)]
async fn rule_18_headers_commit_a_call_of_any_kind() {
    for act in [
        Act::read().headers().trailers(Code::Unavailable),
        Act::read()
            .headers()
            .message("answer")
            .trailers(Code::Unavailable),
    ] {
        for kind in KINDS {
            let peer = Peer::new([act.clone()]);
            let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
            assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}: {outcome:?}");
            assert_eq!(peer.seen().len(), 1, "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_message_that_overflows_the_buffer_is_sent_and_commits_the_call() {
    let peer = Peer::new([unavailable()]);
    let channel = peer.channel_with(|builder| saying(RETRY)(builder).max_replay_buffer_size(100));
    let words = ["small".to_owned(), "x".repeat(200), "last".to_owned()];
    let call = channel.client_streaming(&CLIENT_STREAM, stream::iter(words.clone()));
    assert_eq!(call.await.unwrap_err().code(), Code::Unavailable);
    let seen = peer.seen();
    assert_eq!(seen.len(), 1);
    let whole: Vec<_> = words.iter().map(|word| wireloom_peer::text(word)).collect();
    assert_eq!(seen[0].messages(), whole);
}

#[tokio::test(start_paused = true)]
async fn rule_22_a_retried_exchange_replays_before_it_sends_anything_new() {
    let peer = Peer::new([Act::read_messages(2).trailers_only(Code::Unavailable, &[])]);
    let (messages, queue) = tokio::sync::mpsc::channel(1);
    let queue = stream::wrappers::ReceiverStream::new(queue);
    let channel = peer.channel_with(saying(RETRY));
    let mut responses = channel
        .bidi_streaming(&BIDI, queue)
        .await
        .unwrap()
        .into_inner();
    messages.send("one".to_owned()).await.unwrap();
    messages.send("two".to_owned()).await.unwrap();
    peer.until(|seen| seen.len() == 2 && seen[1].messages().len() == 2)
        .await;
    messages.send("three".to_owned()).await.unwrap();
    drop(messages);
    assert_eq!(responses.message().await.unwrap().unwrap(), "answer");
    let whole = ["one", "two", "three"].map(wireloom_peer::text);
    assert_eq!(peer.seen()[1].messages(), whole);
    assert_eq!(previous_attempts(&peer), [None, Some("1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn rule_21_the_answer_frees_what_was_kept_for_further_attempts() {
    let act = Act::read_messages(2)
        .headers()
        .step(Step::ReadAll)
        .message("answer")
        .trailers(0);
    let peer = Peer::new([act]);
    let channel = peer.channel();
    let (messages, queue) = tokio::sync::mpsc::channel(4);
    let queue = stream::wrappers::ReceiverStream::new(queue);
    let call = tokio::spawn(
        channel
            .client_streaming(&RETRIED_STREAM, queue)
            .into_future(),
    );
    messages.send("one".to_owned()).await.unwrap();
    settle().await;
    assert!(channel.replay_buffered_bytes() > 0);
    messages.send("two".to_owned()).await.unwrap();
    settle().await;
    assert_eq!(channel.replay_buffered_bytes(), 0);
    messages.send("three".to_owned()).await.unwrap();
    settle().await;
    assert_eq!(channel.replay_buffered_bytes(), 0);
    drop(messages);
    call.await.unwrap().unwrap();
    assert_eq!(peer.seen()[0].messages().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_caller_s_own_error_ends_the_call_and_no_attempt_sends_a_shortened_request() {
    for policy in [RETRY, HEDGE] {
        let peer = Peer::new([]);
        let policy = policy.replace("UNAVAILABLE", "RESOURCE_EXHAUSTED");
        let channel = peer.channel_with(saying(&policy));
        // The second message is over the limit, and the error that it gives is one that the policy lists.
        let messages = stream::iter(["one".to_owned(), "x".repeat(100)]);
        let call = channel.client_streaming(&CLIENT_STREAM, messages);
        let status = call.max_send_message_size(50).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{policy}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(peer.seen().len(), 1, "{policy}");
        assert!(!peer.seen()[0].half_closed, "{policy}");
    }
}

/// Yields "first", and then what it has got for each response of its own call; ends with the responses.
struct Acknowledgements {
    begun: bool,
    responses: stream::wrappers::ReceiverStream<Streaming<String>>,
    current: Option<Streaming<String>>,
}

impl Stream for Acknowledgements {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some("first".to_owned()));
        }
        if self.current.is_none() {
            self.current = ready!(Pin::new(&mut self.responses).poll_next(cx));
        }
        let Some(responses) = &mut self.current else {
            return Poll::Ready(None);
        };
        let response = ready!(Pin::new(responses).poll_next(cx));
        Poll::Ready(response.and_then(|response| Some(format!("got {}", response.ok()?))))
    }
}

#[test]
fn requests_may_follow_the_responses_of_their_own_call() {
    let (ended, wait) = std::sync::mpsc::channel();
    // Of its own: a call that locks what it holds already would take the test's thread with it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let act = Act::read_messages(1).headers().message("one").trailers(0);
            let peer = Peer::new([act]);
            let (give, responses) = tokio::sync::mpsc::channel(1);
            let requests = Acknowledgements {
                begun: false,
                responses: stream::wrappers::ReceiverStream::new(responses),
                current: None,
            };
            let channel = peer.channel();
            let responses = channel.bidi_streaming(&BIDI, requests).await.unwrap();
            give.send(responses.into_inner()).await.unwrap();
            peer.until(|seen| seen.len() == 1 && seen[0].messages().len() == 2)
                .await;
            settle().await;
        });
        ended.send(()).unwrap();
    });
    let ended = wait.recv_timeout(Duration::from_secs(10));
    ended.expect("the runtime's thread is not stuck");
}
