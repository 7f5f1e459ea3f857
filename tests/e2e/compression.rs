use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{Channel, Code, Compression, Server};

use crate::support::{ProbeClient, Setup, TestServer, serve, task};

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
