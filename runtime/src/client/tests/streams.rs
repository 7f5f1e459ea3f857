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
