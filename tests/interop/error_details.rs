//! Every kind of detail that `google.rpc` has, between grpcio and us, both ways.

use std::collections::HashMap;
use std::time::Duration;

use wireloom::error_details::{ErrorDetails, StatusExt as _};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::clients::run;
use crate::peers::Peer;
use crate::support::{ProbeClient, Setup, TestServer, task};

/// The same as in `details.py`.
fn details() -> ErrorDetails {
    let mut details = ErrorDetails::new();
    details
        .set_retry_info(Some(Duration::from_secs(7)))
        .set_debug_info(["at a".to_owned()], "d")
        .add_quota_failure_violation("s", "d")
        .set_error_info(
            "R",
            "probe.test",
            HashMap::from([("k".to_owned(), "v".to_owned())]),
        )
        .add_precondition_failure_violation("T", "s", "d")
        .add_bad_request_violation("a.b", "d")
        .set_request_info("i", "x")
        .set_resource_info("t", "n", "o", "d")
        .add_help_link("d", "https://probe.test")
        .set_localized_message("de", "nein");
    details
}

/// Ends every call with all details.
struct Refuse;

impl Interceptor for Refuse {
    async fn intercept(&self, _: InterceptedCall, _: Next<'_>) -> Result<Response<()>, Status> {
        let code = Code::FailedPrecondition;
        Err(Status::with_error_details(code, "not now", details()))
    }
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_reads_every_detail_of_ours() {
    let server = TestServer::start(Setup {
        server: Server::builder().interceptor(Refuse),
        ..Setup::default()
    })
    .await;
    run(Peer::Grpcio, "error_details", &server.target).await;
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn every_detail_of_grpcio_s_is_read() {
    let served = Peer::Grpcio.serve("NoCompression", &[]).await;
    let target = format!("http://127.0.0.1:{}", served.port);
    let client = ProbeClient::connect(&target).await.unwrap();
    let status = client.unary(task("all details")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "not now");
    let read = status.check_error_details().unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", details()));
}
