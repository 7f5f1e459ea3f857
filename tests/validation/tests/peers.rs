//! Programs in Python: the measure of rules, and another client.

use std::path::Path;

use tokio::process::Command;

use crate::kinds::Seen;
use crate::proto::validated::OrdersServer;
use crate::support::serve;

/// A program of this folder, run by the Python that `WIRELOOM_PYTHON` names.
pub fn python(name: &str) -> Command {
    let python = std::env::var("WIRELOOM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut program = Command::new(python);
    program.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    program.kill_on_drop(true);
    program
}

#[tokio::test]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn grpcio_reads_what_is_wrong_with_a_request() {
    let served = serve(OrdersServer::new(Seen::default())).await;
    let address = served.target.trim_start_matches("http://");
    let output = python("client.py").arg(address).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told = "INVALID_ARGUMENT\n\
                items: must have at least 1 items\n\
                items | repeated.min_items | must have at least 1 items\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), told);
}
