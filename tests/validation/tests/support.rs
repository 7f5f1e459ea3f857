//! Servers that hold requests to rules, and what their clients are told.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tracing::Subscriber;
use wireloom::error_details::{FieldViolation, StatusExt as _};
use wireloom::server::{Listener, Service, Shutdown};
use wireloom::{Channel, Code, Server, Status};

/// A server on a socket of its own, stopped when dropped.
pub struct Served {
    pub target: String,
    _server: JoinSet<Result<Shutdown, Status>>,
}

/// Serves what holds requests to rules.
pub async fn serve(service: impl Service) -> Served {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let server = Server::builder().add_service(service).validation();
    let _server = JoinSet::from_iter([server.serve(listener)]);
    Served { target, _server }
}

/// A channel to such a server in this process.
pub fn in_process(service: impl Service) -> Channel {
    let server = Server::builder().add_service(service).validation();
    Channel::in_process(server).lazy().unwrap()
}

/// Why such a server does not serve.
pub async fn refusal(service: impl Service) -> Status {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::builder().add_service(service).validation();
    let at_once = std::future::ready(());
    server
        .serve_with_shutdown(listener, at_once)
        .await
        .unwrap_err()
}

/// The fields and the rules of the violations that a call ended with.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let told = |violation: FieldViolation| (violation.field, violation.reason);
    bad_request(status).into_iter().map(told).collect()
}

/// The violations that a call ended with.
pub fn bad_request(status: &Status) -> Vec<FieldViolation> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.check_error_details().unwrap();
    let violations = details.bad_request().unwrap().field_violations.clone();
    for violation in &violations {
        assert!(!violation.description.is_empty(), "{violation:?}");
    }
    violations
}

pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(field, rule): &(&str, &str)| ((*field).to_owned(), (*rule).to_owned());
    expected.iter().map(owned).collect()
}

/// What is logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn subscriber(self) -> impl Subscriber + Send + Sync {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || self.clone())
            .finish()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
