//! The scripts, and what the service config says of the calls that they answer.

mod answers;
mod attempts;
mod connections;
mod malformed;

use std::{sync::Arc, time::Duration};

use wireloom::Code;
use wireloom_peer::{Act, Peer, Step};

const RETRY: &str = r#""retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.02s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}"#;

/// One script, and what the service config says of the method and of the server.
pub struct Case {
    pub name: &'static str,
    script: Vec<Act>,
    of_method: &'static str,
    of_server: &'static str,
}

impl Case {
    /// The service config.
    pub fn config(&self) -> String {
        let comma = if self.of_method.is_empty() { "" } else { ", " };
        format!(
            r#"{{"methodConfig": [{{"name": [{{"service": "test.Test"}}]{comma}{}}}]{}}}"#,
            self.of_method, self.of_server
        )
    }

    /// A peer that follows the script, and its address.
    pub async fn peer(&self) -> (Arc<Peer>, String) {
        let peer = Peer::new(self.script.clone());
        let address = peer.listen().await.unwrap();
        (peer, address.to_string())
    }

    /// The time that a call has: enough, unless it is to run out.
    pub fn timeout(&self) -> Duration {
        match self.name {
            // It runs out; with two messages, grpcio's does.
            "a stall" | "two messages" => Duration::from_secs(1),
            _ => Duration::from_secs(20),
        }
    }

    /// Whether the peer says why a call fails; where it does not, each client has words of its own.
    pub fn states_a_message(&self) -> bool {
        let mut steps = self.script.iter().flat_map(|act| &act.steps);
        steps.any(|step| match step {
            Step::Headers { fields, .. } | Step::Trailers(fields) => {
                fields.contains_key("grpc-message")
            }
            _ => false,
        })
    }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let groups = [
        answers::cases(),
        attempts::cases(),
        connections::cases(),
        malformed::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// One response, and no policy.
fn plain(name: &'static str, act: Act) -> Case {
    Case {
        name,
        script: vec![act],
        of_method: "",
        of_server: "",
    }
}

/// Calls are retried where they fail with UNAVAILABLE, up to two times.
fn retried(name: &'static str, script: Vec<Act>) -> Case {
    Case {
        name,
        script,
        of_method: RETRY,
        of_server: "",
    }
}

fn unavailable() -> Act {
    Act::fail(Code::Unavailable)
}
