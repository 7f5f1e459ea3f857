use wireloom::metadata::MetadataValue;
use wireloom::tokio_stream::{self as stream, StreamExt as _, wrappers::ReceiverStream};
use wireloom::{Channel, Code, Request};

use crate::support::{DETAILS, Outcome, ProbeClient, Setup, Task, TestServer, serve, task};

#[tokio::test]
async fn unary_answers_with_one_message() {
    let (_server, client) = serve().await;
    let outcome = client.unary(task("a")).await.unwrap().into_inner();
    assert_eq!(outcome.name, "a");
}

#[tokio::test]
async fn server_streaming_answers_with_all_messages_in_order() {
    let (_server, client) = serve().await;
    let responses = client
        .server_stream(Task {
            count: 1000,
            ..task("a")
        })
        .await
        .unwrap();
    let outcomes: Vec<Outcome> = responses.into_inner().map(Result::unwrap).collect().await;
    let indices: Vec<_> = outcomes.iter().map(|outcome| outcome.index).collect();
    assert_eq!(indices, Vec::from_iter(0..1000));
}

#[tokio::test]
async fn server_streaming_may_answer_with_no_message() {
    let (_server, client) = serve().await;
    let mut responses = client.server_stream(task("a")).await.unwrap().into_inner();
    assert_eq!(responses.message().await.unwrap(), None);
}

#[tokio::test]
async fn client_streaming_sends_all_messages() {
    let (_server, client) = serve().await;
    let tasks = stream::iter((0..1000).map(|i| task(&i.to_string())));
    let outcome = client.client_stream(tasks).await.unwrap().into_inner();
    assert_eq!((outcome.index, outcome.name.as_str()), (1000, "999"));
}

#[tokio::test]
async fn bidi_streaming_answers_each_message_before_the_next_is_sent() {
    let (_server, client) = serve().await;
    let (tasks, queue) = tokio::sync::mpsc::channel(1);
    tasks
        .send(Task {
            count: 0,
            ..task("a")
        })
        .await
        .unwrap();
    let mut outcomes = client
        .bidi(ReceiverStream::new(queue))
        .await
        .unwrap()
        .into_inner();
    for count in 1..100 {
        assert_eq!(outcomes.message().await.unwrap().unwrap().index, count - 1);
        tasks.send(Task { count, ..task("a") }).await.unwrap();
    }
    drop(tasks);
    assert_eq!(outcomes.message().await.unwrap().unwrap().index, 99);
    assert_eq!(outcomes.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_bidirectional_call_does_not_wait_for_the_servers_first_word() {
    let (_server, client) = serve().await;
    let (tasks, queue) = tokio::sync::mpsc::channel(1);
    let mut outcomes = client
        .bidi(ReceiverStream::new(queue))
        .await
        .unwrap()
        .into_inner();
    tasks.send(task("first")).await.unwrap();
    assert_eq!(outcomes.message().await.unwrap().unwrap().name, "first");
    drop(tasks);
    assert_eq!(outcomes.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_bidirectional_calls_metadata_comes_with_its_first_message() {
    let (_server, client) = serve().await;
    let call = client
        .bidi(stream::iter([task("a")]))
        .metadata("echo", "spoken");
    let mut outcomes = call.await.unwrap().into_inner();
    assert_eq!(
        outcomes.metadata().await.unwrap().get("echo").unwrap(),
        "spoken"
    );
    assert_eq!(outcomes.message().await.unwrap().unwrap().name, "a");
}

#[tokio::test]
async fn a_bidirectional_call_that_cannot_start_says_so_in_its_first_item() {
    let channel = Channel::lazy("unix:/nowhere/at/all").unwrap();
    let mut outcomes = ProbeClient::new(channel)
        .bidi(stream::pending())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        outcomes.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(outcomes.message().await.unwrap(), None);
}

#[tokio::test]
async fn messages_larger_than_the_windows_pass_both_ways() {
    let (_server, client) = serve().await;
    let large = Task {
        padding: vec![7; 3 << 20],
        ..task("large")
    };
    let tasks = stream::iter(vec![large; 8]);
    assert_eq!(
        client
            .client_stream(tasks)
            .await
            .unwrap()
            .into_inner()
            .index,
        8
    );
}

#[tokio::test]
async fn metadata_crosses_both_ways_binary_too() {
    let (_server, client) = serve().await;
    let mut request = Request::new(task("a"));
    request
        .metadata_mut()
        .insert_bin("echo-bin", MetadataValue::from_bytes(b"\x00\xff"));
    let response = client
        .unary(request)
        .metadata("echo", "spoken")
        .await
        .unwrap();
    assert_eq!(response.metadata().get("echo").unwrap(), "spoken");
    assert_eq!(
        response
            .metadata()
            .get_bin("echo-bin")
            .unwrap()
            .to_bytes()
            .unwrap(),
        b"\x00\xff"[..]
    );
}

#[tokio::test]
async fn a_status_crosses_with_its_message_details_and_metadata() {
    let (_server, client) = serve().await;
    let status = client
        .unary(Task {
            code: Code::NotFound as i32,
            ..task("a")
        })
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "as told")
    );
    assert_eq!(status.details(), DETAILS);
    assert_eq!(status.metadata().get("attempt").unwrap(), "1");
}

#[tokio::test]
async fn a_status_after_messages_ends_the_stream_with_it() {
    let (_server, client) = serve().await;
    let failing = Task {
        count: 2,
        code: Code::Aborted as i32,
        ..task("a")
    };
    let mut responses = client.server_stream(failing).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().is_some());
    assert!(responses.message().await.unwrap().is_some());
    assert_eq!(responses.message().await.unwrap_err().code(), Code::Aborted);
    assert_eq!(responses.message().await.unwrap(), None);
}

#[tokio::test]
async fn calls_pass_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.sock");
    let address = format!("unix:{}", path.display());
    let server = TestServer::start(Setup {
        address: address.clone(),
        ..Setup::default()
    })
    .await;
    assert_eq!(server.target, address);
    assert_eq!(
        server
            .client()
            .await
            .unary(task("a"))
            .await
            .unwrap()
            .into_inner()
            .name,
        "a"
    );
    server.stopped().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_channel_connects_again_when_its_server_has_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("probe.sock").display());
    let setup = || Setup {
        address: address.clone(),
        ..Setup::default()
    };
    let server = TestServer::start(setup()).await;
    let client = server.client().await;
    client.unary(task("before")).await.unwrap();
    server.stopped().await;
    assert_eq!(
        client.unary(task("between")).await.unwrap_err().code(),
        Code::Unavailable
    );
    let _server = TestServer::start(setup()).await;
    client
        .unary(task("after"))
        .wait_for_ready(true)
        .await
        .unwrap();
}

#[test]
fn a_channel_outlives_the_runtime_that_connected_it() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let servers = runtime();
    let (_server, client) = servers.block_on(serve());
    for _ in 0..3 {
        runtime().block_on(async { client.unary(task("a")).await.unwrap() });
    }
}
