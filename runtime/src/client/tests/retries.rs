use super::*;

#[tokio::test(start_paused = true)]
async fn rule_16_attempts_are_apart_by_the_jittered_backoff() {
    let peer = Peer::new([unavailable(), unavailable()]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let times: Vec<_> = peer.seen().iter().map(|seen| seen.at).collect();
    let delays = [times[1] - times[0], times[2] - times[1]];
    for (delay, backoff) in delays.into_iter().zip([1.0, 2.0]) {
        // The timer's granularity is a millisecond.
        let range = backoff * 0.8 - 0.001..=backoff * 1.2 + 0.002;
        assert!(
            range.contains(&delay.as_secs_f64()),
            "{delay:?} is not in {range:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_stream_that_never_opened_is_retried() {
    let peer = Peer::scripted(Script {
        connections: vec![Connect::Refuse],
        ..Script::default()
    });
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_code_that_is_not_listed_is_not_retried() {
    let peer = Peer::new([Act::fail(Code::Internal)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_18_response_headers_commit_the_call() {
    let peer = Peer::new([Act::read().headers().trailers(Code::Unavailable)]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_message_over_the_buffers_size_is_sent_but_not_retried() {
    let peer = Peer::new([unavailable()]);
    let large = "x".repeat(300 << 10);
    let status = peer.channel().unary(&RETRIED, large).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
    assert!(peer.seen()[0].body.len() > 300 << 10);
}

#[tokio::test(start_paused = true)]
async fn rule_23_each_attempt_picks_a_connection_anew() {
    let peer = Peer::new([Act::read()
        .go_away(Last::This)
        .trailers_only(Code::Unavailable, &[])
        .close()]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let connections: Vec<_> = peer.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn rule_25_previous_attempts_are_counted_transparent_ones_apart() {
    let peer = Peer::new([
        Act::refuse_stream(),
        unavailable(),
        unavailable(),
        Act::read().answer(),
    ]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    assert_eq!(
        previous_attempts(&peer),
        [None, None, Some("1".to_owned()), Some("2".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn rule_26_the_message_says_how_many_attempts_failed() {
    let peer = Peer::new(vec![unavailable(); 3]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("3 attempts failed"), "{status}");
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_3_the_channels_cap_lowers_max_attempts() {
    static EAGER: Method<String, String> =
        Method::unary("/test.Test/Eager").with_retry_policy(RetryPolicy {
            max_attempts: 50,
            ..POLICY
        });
    let peer = Peer::new(vec![unavailable(); 50]);
    peer.channel().unary(&EAGER, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 5);
}
