//! Links that are slow, and connections that are lost in the middle of messages.

use wireloom::tokio_stream::{self as stream, StreamExt as _};
use wireloom::{Code, Status};

use crate::load::Tally;
use crate::proto::probe::ProbeClient;
use crate::proxy::{Link, Proxy};
use crate::{LONG, SHORT, Setting, distant, streaming, task, until};

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Cut,
    Reset,
}

/// The kinds of calls.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

const KINDS: [Kind; 4] = [
    Kind::Unary,
    Kind::ServerStreaming,
    Kind::ClientStreaming,
    Kind::Bidi,
];

/// A call whose response does not end before its connection does.
async fn call(client: &ProbeClient, kind: Kind) -> Result<(), Status> {
    let tasks = stream::iter([task("a")]).chain(stream::pending());
    let mut outcomes = match kind {
        Kind::Unary => return client.unary(crate::hanging()).timeout(LONG).await.map(drop),
        Kind::ClientStreaming => {
            return client
                .client_stream(tasks)
                .no_retry()
                .timeout(LONG)
                .await
                .map(drop);
        }
        Kind::ServerStreaming => {
            let endless = streaming(u32::MAX, 1 << 10);
            client.server_stream(endless).timeout(LONG).await?
        }
        Kind::Bidi => client.bidi(tasks).timeout(LONG).await?,
    }
    .into_inner();
    while outcomes.message().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_lost_fails_calls_of_all_kinds_as_unavailable() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let mut tally = Tally::default();
    let client = setting.client();
    for end in [End::Cut, End::Reset] {
        for kind in KINDS {
            let running = tally.count(LONG, Box::pin(call(&client, kind)));
            let lost = async {
                until(|| setting.server.calls() > 0).await;
                match end {
                    End::Cut => setting.proxy.cut(),
                    End::Reset => setting.proxy.reset(),
                }
            };
            let (ended, ()) = tokio::join!(running, lost);
            let code = ended.unwrap_err().code();
            assert_eq!(code, Code::Unavailable, "{end:?}, {kind:?}");
            setting.proxy.until(|counts| counts.open == 0).await;
            client.unary(task("a")).timeout(LONG).await.unwrap();
            assert_eq!(setting.server.calls(), 0);
        }
    }
    assert_eq!(tally.attempted(), 8);
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_message_that_is_cut_in_two_fails_its_call() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    let call = client.server_stream(streaming(8, 1 << 20)).timeout(LONG);
    let mut outcomes = call.await.unwrap().into_inner();
    outcomes.message().await.unwrap().unwrap();
    setting.proxy.cut_after(1500 << 10);
    let mut received = 0;
    let status = loop {
        match outcomes.message().await {
            Ok(Some(_)) => received += 1,
            Ok(None) => panic!("{received} messages"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    drop((outcomes, client));
    setting.ends_with(before).await;
}

#[tokio::test]
async fn an_answer_that_a_slow_link_does_not_carry_in_time_ends_at_the_deadline() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    setting.proxy.link(Link {
        bytes_per_second: Some(100_000),
        ..Link::default()
    });
    let mut tally = Tally::default();
    let large = task(&"x".repeat(1 << 20));
    let _ = tally.count(SHORT, client.unary(large).timeout(SHORT)).await;
    tally.assert_all(&[Code::DeadlineExceeded]);

    setting.proxy.link(Link::default());
    client.unary(task("a")).timeout(LONG).await.unwrap();
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn calls_share_a_distance_and_do_not_wait_for_each_other() {
    let setting = Setting::new().await;
    let before = setting.holdings().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    setting.proxy.link(distant());
    let started = std::time::Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn(std::future::IntoFuture::into_future(
                client.unary(task("a")),
            ))
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // One round trip, not a hundred.
    let round_trip = distant().latency * 2;
    let took = started.elapsed();
    assert!((round_trip..round_trip * 10).contains(&took), "{took:?}");
    drop(client);
    setting.ends_with(before).await;
}

#[tokio::test]
async fn a_window_carries_a_stream_over_a_distance_without_a_stop() {
    let setting = Setting::new().await;
    let client = setting.client();
    client.unary(task("a")).await.unwrap();
    setting.proxy.link(distant());
    let started = std::time::Instant::now();
    let call = client.server_stream(streaming(64, 32 << 10)).timeout(LONG);
    let outcomes: Vec<_> = call.await.unwrap().into_inner().collect().await;
    assert_eq!(outcomes.len(), 64);
    // Two megabytes: the window. With HTTP/2's own of 64 KiB they would take 32 round trips.
    let took = started.elapsed();
    assert!(took < distant().latency * 2 * 16, "{took:?}");
}

/// Where a proxy stands between, as it is for the other tests, and where it does not: the proxy itself loses nothing.
#[tokio::test]
async fn the_proxy_carries_what_it_is_given() {
    let setting = Setting::new().await;
    let second = Proxy::to(setting.proxy.address()).await;
    let client = crate::client(&second.target(), |builder| builder);
    let tasks = stream::iter((0..200).map(|count| crate::Task {
        count,
        ..task(&"x".repeat(10_000))
    }));
    let outcomes = client.bidi(tasks).timeout(LONG).await.unwrap().into_inner();
    let counts: Vec<_> = outcomes
        .map(|outcome| outcome.unwrap().index)
        .collect()
        .await;
    assert_eq!(counts, Vec::from_iter(0..200));
}
