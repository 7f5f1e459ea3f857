use super::*;

#[tokio::test(start_paused = true)]
async fn rule_29_the_next_attempt_comes_after_exactly_the_pushback() {
    let peer = Peer::new([Act::push_back(Code::Unavailable, "4000")]);
    peer.channel().unary(&RETRIED, request()).await.unwrap();
    let seen = peer.seen();
    assert_eq!((seen[1].at - seen[0].at).as_millis(), 4000);
}

#[tokio::test(start_paused = true)]
async fn rule_30_a_pushback_that_says_stop_ends_the_call() {
    let peer = Peer::new([Act::push_back(Code::Unavailable, "-1")]);
    let status = peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_31_pushback_raises_no_attempts_and_makes_no_code_retryable() {
    let peer = Peer::new(vec![Act::push_back(Code::Unavailable, "1"); 5]);
    peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 3);

    let peer = Peer::new([Act::push_back(Code::Internal, "1")]);
    peer.channel().unary(&RETRIED, request()).await.unwrap_err();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_32_after_a_pushback_the_backoff_starts_again() {
    static PATIENT: Method<String, String> =
        Method::unary("/test.Test/Patient").with_retry_policy(RetryPolicy {
            max_attempts: 5,
            ..POLICY
        });
    let peer = Peer::new([
        unavailable(),
        unavailable(),
        Act::push_back(Code::Unavailable, "1"),
        unavailable(),
    ]);
    peer.channel().unary(&PATIENT, request()).await.unwrap();
    let seen = peer.seen();
    let delay = (seen[4].at - seen[3].at).as_secs_f64();
    assert!((0.799..=1.202).contains(&delay), "{delay}");
}
