use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{Channel, Code, Compression, Server};

use crate::support::{Observed, ProbeClient, Setup, Sizes, Task, TestServer, serve, task};

#[tokio::test]
async fn a_call_s_messages_are_compressed_on_the_way() {
    let (_server, client) = serve().await;
    let large = task(&"a".repeat(100_000));
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Identity] {
        let call = client.unary(large.clone()).compression(compression);
        assert_eq!(call.await.unwrap().get_ref().name, large.name);
        let tasks = stream::iter(vec![large.clone(); 3]);
        let call = client.bidi(tasks).compression(compression);
        let outcomes: Vec<_> = call.await.unwrap().into_inner().collect().await;
        assert_eq!(outcomes.len(), 3);
        for outcome in outcomes {
            assert_eq!(outcome.unwrap().name, large.name);
        }
    }
}

#[tokio::test]
async fn a_small_message_that_stands_for_a_huge_one_is_refused() {
    let server = TestServer::start(Setup {
        server: Server::builder().max_receive_message_size(10_000),
        ..Setup::default()
    })
    .await;
    let channel = Channel::builder(&server.target).lazy().unwrap();
    let huge = task(&"a".repeat(1_000_000));
    for compression in [Compression::Gzip, Compression::Zstd] {
        let call = ProbeClient::new(channel.clone()).unary(huge.clone());
        // It would pass for a small one.
        let call = call.compression(compression).max_send_message_size(5_000);
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(
            status
                .message()
                .contains("max_receive_message_size is 10000"),
            "{status}"
        );
    }
}

/// A client of `server`.
async fn client_of(server: Server) -> (TestServer, ProbeClient) {
    let setup = Setup {
        server,
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let channel = Channel::builder(&server.target).lazy().unwrap();
    (server, ProbeClient::new(channel))
}

fn assert_names(status: &wireloom::Status, setting: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let named = format!("{setting} is 1000");
    assert!(status.message().contains(&named), "{status}");
}

#[tokio::test]
async fn one_setting_limits_requests_in_streams_and_compressed_too() {
    let (_server, client) = client_of(Server::builder().max_message_size(1000)).await;
    let [fits, large] = [900, 1200].map(|size| task(&"a".repeat(size)));
    client.unary(fits.clone()).await.unwrap();
    for compression in [Compression::Identity, Compression::Gzip, Compression::Zstd] {
        let call = client.unary(large.clone()).compression(compression);
        assert_names(&call.await.unwrap_err(), "max_receive_message_size");
        let call = client.client_stream(stream::iter([fits.clone(), large.clone()]));
        let status = call.compression(compression).await.unwrap_err();
        assert_names(&status, "max_receive_message_size");
    }
}

#[tokio::test]
async fn the_same_setting_limits_responses_in_streams_and_compressed_too() {
    for compression in [Compression::Identity, Compression::Gzip, Compression::Zstd] {
        let server = Server::builder()
            .max_message_size(1000)
            .max_receive_message_size(10_000)
            .compression([compression]);
        let (_server, client) = client_of(server).await;
        let [fits, large] = [900, 1200].map(|size| Task {
            count: 3,
            ..task(&"a".repeat(size))
        });
        let outcomes = client.server_stream(fits).await.unwrap().into_inner();
        assert_eq!(outcomes.collect::<Vec<_>>().await.len(), 3);
        let status = client.unary(large.clone()).await.unwrap_err();
        assert_names(&status, "max_send_message_size");
        let status = client.server_stream(large).await.err().unwrap();
        assert_names(&status, "max_send_message_size");
    }
}

/// A server that compresses, a client of it, and the sizes of the responses that come to the client.
async fn compressing() -> (TestServer, ProbeClient, Sizes) {
    let server = Server::builder()
        .compression([Compression::Zstd, Compression::Gzip])
        .compression_threshold(2000);
    let server = TestServer::start(Setup {
        server,
        ..Setup::default()
    })
    .await;
    let sizes = Sizes::default();
    let channel = Channel::builder(&server.target).interceptor(Observed(sizes.clone()));
    let client = ProbeClient::new(channel.lazy().unwrap());
    (server, client, sizes)
}

#[tokio::test]
async fn a_server_compresses_responses_of_the_threshold_and_above() {
    let (_server, client, sizes) = compressing().await;
    let (large, small) = (task(&"a".repeat(2000)), task(&"a".repeat(1900)));
    let response = client.unary(large.clone()).await.unwrap();
    assert_eq!(response.get_ref().name, large.name);
    assert!(sizes.take() < vec![200]);
    client.unary(small.clone()).await.unwrap();
    assert!(sizes.take() > vec![1900]);
}

#[tokio::test]
async fn each_message_of_a_stream_is_compressed_or_not() {
    let (_server, client, sizes) = compressing().await;
    let (large, small) = (task(&"a".repeat(2000)), task("a"));
    let tasks = [large.clone(), small.clone(), large.clone()];
    let outcomes = client.bidi(stream::iter(tasks.clone())).await.unwrap();
    let outcomes: Vec<_> = outcomes.into_inner().collect().await;
    let names = outcomes.into_iter().map(|outcome| outcome.unwrap().name);
    assert!(names.eq(tasks.into_iter().map(|task| task.name)));
    let sizes = sizes.take();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|size| *size < 200), "{sizes:?}");
}

#[tokio::test]
async fn a_handler_chooses_the_compression_of_its_response() {
    let (_server, client, sizes) = compressing().await;
    let large = task(&"a".repeat(10_000));
    for (compression, is_compressed) in [("identity", false), ("zstd", true), ("gzip", true)] {
        let call = client.unary(large.clone());
        let response = call.metadata("compression", compression).await.unwrap();
        assert_eq!(response.get_ref().name, large.name);
        let sizes = sizes.take();
        assert_eq!(sizes < vec![200], is_compressed, "{compression}: {sizes:?}");
    }
}

#[tokio::test]
async fn the_client_s_limit_holds_for_what_a_compressed_response_becomes() {
    let (_server, client, _) = compressing().await;
    let call = client.unary(task(&"a".repeat(10_000)));
    let status = call.max_receive_message_size(5000).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status
            .message()
            .contains("max_receive_message_size is 5000"),
        "{status}"
    );
}
