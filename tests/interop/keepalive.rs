//! Keepalive against what C++ servers allow, which grpcio's are.

use std::time::Duration;

use tokio::time::timeout;
use wireloom::{Channel, Code};

use crate::peers::Served;
use crate::support::{ProbeClient, Task, task};

/// Long enough for three pings of the shortest keepalive.
const THREE_PINGS: Duration = Duration::from_secs(33);

/// How a call that hangs ended within three pings, if it did.
async fn hanging_call(server: &Served) -> Option<Code> {
    let target = format!("http://127.0.0.1:{}", server.port);
    let channel = Channel::builder(&target).keepalive(Duration::from_secs(10));
    let client = ProbeClient::new(channel.connect().await.unwrap());
    let hanging = Task {
        hang: true,
        ..task("a")
    };
    let call = client.unary(hanging).no_timeout();
    let ended = timeout(THREE_PINGS, call).await;
    ended.ok().map(|ended| ended.unwrap_err().code())
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn a_server_takes_pings_as_often_as_it_allows() {
    let allowing = r#"{"grpc.http2.min_ping_interval_without_data_ms": 9000}"#;
    let server = Served::with_options(allowing).await;
    assert_eq!(hanging_call(&server).await, None);
}
