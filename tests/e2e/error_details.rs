use wireloom::error_details::{ErrorDetails, StatusExt as _};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{Setup, TestServer, task};

#[allow(clippy::let_and_return)]
fn nobody() -> Status {
    let details = ErrorDetails::with_bad_request_violation("name", "must not be empty");
    let status = Status::with_error_details(Code::InvalidArgument, "who is it?", details);
    status
}

/// Lets nobody in.
struct Door;

impl Interceptor for Door {
    async fn intercept(&self, _: InterceptedCall, _: Next<'_>) -> Result<Response<()>, Status> {
        Err(nobody())
    }
}

#[tokio::test]
async fn a_caller_reads_the_details_of_an_error() {
    let server = TestServer::start(Setup {
        server: Server::builder().interceptor(Door),
        ..Setup::default()
    })
    .await;
    let client = server.client().await;
    let status = client.unary(task("")).await.unwrap_err();
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "name");
    assert_eq!(violations[0].description, "must not be empty");
}
