use std::time::Duration;

use wireloom::tokio_stream as stream;
use wireloom::{Channel, Code, RetryPolicy, StatusCodes};

use crate::support::{ProbeClient, Task, serve, task};

fn failing(name: &str, code: Code, failing_attempts: u32) -> Task {
    Task {
        code: code as i32,
        failing_attempts,
        ..task(name)
    }
}

#[tokio::test]
async fn a_listed_code_is_retried_and_each_attempt_counts_those_before_it() {
    let (_server, client) = serve().await;
    let outcome = client
        .retried(failing("a", Code::Unavailable, 2))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(outcome.previous_attempts, 2);
}

#[tokio::test]
async fn rule_25_the_first_attempt_counts_none() {
    let (_server, client) = serve().await;
    assert_eq!(
        client
            .retried(task("a"))
            .await
            .unwrap()
            .into_inner()
            .previous_attempts,
        0
    );
}

#[tokio::test]
async fn rule_26_when_attempts_run_out_the_caller_sees_the_last_ones_status() {
    let (_server, client) = serve().await;
    let status = client
        .retried(failing("a", Code::Unavailable, 0))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.metadata().get("attempt").unwrap(), "3");
    assert_eq!(status.message(), "as told (3 attempts failed)");
}

#[tokio::test]
async fn rule_17_a_code_that_is_not_listed_is_not_retried() {
    let (_server, client) = serve().await;
    let status = client
        .retried(failing("a", Code::Internal, 1))
        .await
        .unwrap_err();
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
}

#[tokio::test]
async fn a_method_without_a_policy_is_not_retried() {
    let (_server, client) = serve().await;
    let status = client
        .unary(failing("a", Code::Unavailable, 1))
        .await
        .unwrap_err();
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
    assert_eq!(status.message(), "as told");
}

#[tokio::test]
async fn rule_22_a_streaming_retry_replays_all_messages_in_order() {
    let (_server, client) = serve().await;
    let tasks = [
        task("one"),
        task("two"),
        failing("three", Code::Unavailable, 1),
        task("four"),
    ];
    let outcome = client
        .client_stream(stream::iter(tasks))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            outcome.index,
            outcome.previous_attempts,
            outcome.name.as_str()
        ),
        (4, 1, "four")
    );
}

#[tokio::test]
async fn rule_20_a_call_that_overflows_the_replay_buffer_is_sent_but_not_retried() {
    let (server, _) = serve().await;
    let channel = Channel::builder(&server.target)
        .max_replay_buffer_size(100)
        .lazy()
        .unwrap();
    let client = ProbeClient::new(channel);
    let large = Task {
        padding: vec![0; 100],
        ..task("large")
    };

    let sent = client
        .client_stream(stream::iter([large.clone(), task("small")]))
        .await
        .unwrap();
    assert_eq!(sent.into_inner().index, 2);

    let tasks = [large, failing("a", Code::Unavailable, 1)];
    let status = client.client_stream(stream::iter(tasks)).await.unwrap_err();
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
}

#[tokio::test]
async fn rule_18_nothing_is_retried_after_response_headers() {
    let (_server, client) = serve().await;
    let policy = RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };
    let after_one_message = Task {
        count: 1,
        ..failing("a", Code::Unavailable, 0)
    };
    let call = client.server_stream(after_one_message).retry_policy(policy);
    let mut responses = call.await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();
    let status = responses.message().await.unwrap_err();
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
}

#[tokio::test]
async fn rule_19_a_stream_that_fails_before_its_first_message_is_retried() {
    let (_server, client) = serve().await;
    let policy = RetryPolicy {
        max_attempts: 2,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };
    let call = client
        .server_stream(failing("a", Code::Unavailable, 1))
        .retry_policy(policy);
    let mut responses = call.await.unwrap().into_inner();
    assert_eq!(responses.message().await.unwrap(), None);
}

#[tokio::test]
async fn an_invalid_policy_fails_the_call_and_says_what_must_hold() {
    let (_server, client) = serve().await;
    let policy = RetryPolicy {
        max_attempts: 1,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        backoff_multiplier: 1.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    };
    let status = client
        .unary(task("a"))
        .retry_policy(policy)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("max_attempts must be at least 2"),
        "{status}"
    );
}

#[tokio::test]
async fn a_call_without_retries_is_made_once() {
    let (_server, client) = serve().await;
    let status = client
        .retried(failing("a", Code::Unavailable, 1))
        .no_retry()
        .await
        .unwrap_err();
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
}
