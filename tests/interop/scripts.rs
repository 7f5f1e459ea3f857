//! The scripts of the rules' tests, run against our client and against grpcio's: how the call ends, how many attempts it
//! makes, and what each says of those before it have to agree.

use std::sync::Arc;
use std::time::Duration;

use wireloom::tokio_stream as stream;
use wireloom::{Channel, Code, Method, ServiceConfig};
use wireloom_peer::{Act, Last, Peer, Step};

use crate::python::Python;

static UNARY: Method<String, String> = Method::unary("/test.Test/Call");
static CLIENT_STREAM: Method<String, String> = Method::client_streaming("/test.Test/Call");

const RETRY: &str = r#""retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.02s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}"#;

/// One script, and what the service config says of the method and of the server.
struct Case {
    name: &'static str,
    script: Vec<Act>,
    of_method: &'static str,
    of_server: &'static str,
}

fn case(name: &'static str, script: Vec<Act>, of_method: &'static str) -> Case {
    Case {
        name,
        script,
        of_method,
        of_server: "",
    }
}

fn unavailable() -> Act {
    Act::fail(Code::Unavailable)
}

fn cases() -> Vec<Case> {
    let pushback = |value| Act::push_back(Code::Unavailable, value);
    let bad_gateway = Act::read().step(Step::Headers {
        http_status: 503,
        fields: wireloom_peer::fields(&[]),
        end_stream: true,
    });
    let mut cases = vec![
        case("an answer", vec![], ""),
        case("no policy", vec![unavailable()], ""),
        case("two retries", vec![unavailable(); 2], RETRY),
        case("attempts run out", vec![unavailable(); 3], RETRY),
        case("a code not listed", vec![Act::fail(Code::Internal)], RETRY),
        case(
            "headers, then an error",
            vec![Act::read().headers().trailers(Code::Unavailable)],
            RETRY,
        ),
        case("a refused stream", vec![Act::refuse_stream()], ""),
        case("two refused streams", vec![Act::refuse_stream(); 2], ""),
        case(
            "a refused stream, then the policy",
            vec![Act::refuse_stream(), unavailable(), unavailable()],
            RETRY,
        ),
        case(
            "a GOAWAY below the call",
            vec![Act::default().go_away(Last::Below)],
            "",
        ),
        case(
            "a GOAWAY at the call",
            vec![Act::read().go_away(Last::This).answer()],
            "",
        ),
        case("a pushback", vec![pushback("20"), pushback("10")], RETRY),
        case("a pushback that says stop", vec![pushback("-1")], RETRY),
        case("an unreadable pushback", vec![pushback("soon")], RETRY),
        case("HTTP 503", vec![bad_gateway], ""),
        case("a stall", vec![Act::stall()], RETRY),
        case(
            "more attempts than the cap",
            vec![unavailable(); 9],
            r#""retryPolicy": {"maxAttempts": 9, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
               "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}"#,
        ),
    ];
    cases.push(case(
        "a status code by its number",
        vec![unavailable()],
        r#""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
           "backoffMultiplier": 1, "retryableStatusCodes": [14]}"#,
    ));
    cases.push(Case {
        name: "throttled at half the tokens",
        script: vec![unavailable(); 3],
        of_method: RETRY,
        of_server: r#", "retryThrottling": {"maxTokens": 2, "tokenRatio": 0.1}"#,
    });
    cases
}

/// Where grpcio differs, for both kinds of call: the case, and the rule that explains it.
const DIFFERENCES: [(&str, &str); 5] = [
    (
        "a refused stream",
        "rule 38: we send again at once what a server refused; to grpcio it is UNAVAILABLE",
    ),
    ("two refused streams", "rule 38: as above, once"),
    (
        "a refused stream, then the policy",
        "rule 39: the transparent retry does not count; to grpcio the refusal is a failed attempt of the policy",
    ),
    (
        "an unreadable pushback",
        "rule 30: we end the call with the server's status; to grpcio the response is malformed, INTERNAL",
    ),
    (
        "a status code by its number",
        "rule 6: a code may be an integer; to grpcio the config is invalid",
    ),
];

/// How a call went: its code, and what each attempt said of those before it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: i32,
    previous_attempts: Vec<Option<String>>,
}

impl Outcome {
    fn of(code: i32, peer: &Peer) -> Self {
        let seen = peer.seen();
        for attempt in &seen {
            assert!(attempt.header("grpc-timeout").is_some(), "{attempt:?}");
        }
        let previous = seen.iter().map(|attempt| {
            let header = attempt.header("grpc-previous-rpc-attempts");
            header.map(str::to_owned)
        });
        Self {
            code,
            previous_attempts: previous.collect(),
        }
    }
}

impl Case {
    fn config(&self) -> String {
        let comma = if self.of_method.is_empty() { "" } else { ", " };
        format!(
            r#"{{"methodConfig": [{{"name": [{{"service": "test.Test"}}]{comma}{}}}]{}}}"#,
            self.of_method, self.of_server
        )
    }

    /// The time that a call has: enough, unless it is to run out.
    fn timeout(&self) -> Duration {
        match self.name {
            "a stall" => Duration::from_millis(300),
            _ => Duration::from_secs(20),
        }
    }

    async fn peer(&self) -> (Arc<Peer>, String) {
        let peer = Peer::new(self.script.clone());
        let address = peer.listen().await.unwrap();
        (peer, address.to_string())
    }

    async fn ours(&self, kind: &str) -> Outcome {
        let (peer, target) = self.peer().await;
        let config = ServiceConfig::from_json(&self.config()).unwrap();
        let channel = Channel::builder(&target).service_config(config);
        let channel = channel.lazy().unwrap();
        let answer = match kind {
            "unary" => {
                let call = channel.unary(&UNARY, "one".to_owned());
                call.timeout(self.timeout()).await
            }
            _ => {
                let messages = stream::iter(["one", "two"].map(str::to_owned));
                let call = channel.client_streaming(&CLIENT_STREAM, messages);
                call.timeout(self.timeout()).await
            }
        };
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        Outcome::of(code as i32, &peer)
    }

    async fn grpcio_s(&self, kind: &str, python: &Python) -> Outcome {
        let (peer, target) = self.peer().await;
        let timeout = self.timeout().as_secs_f64().to_string();
        let mut program = python.program("scripts.py");
        let program = program.args([&target, &self.config(), kind, &timeout]);
        let output = program.output().await.unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let code = printed.trim().trim_start_matches("{\"code\": ");
        let code = code.trim_end_matches('}').parse();
        Outcome::of(
            code.unwrap_or_else(|_| panic!("{}: {printed}", self.name)),
            &peer,
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn the_rules_scripts_end_with_grpcio_as_they_do_with_ours() {
    let python = Python::new().await;
    let mut wrong = Vec::new();
    for case in cases() {
        for kind in ["unary", "client_streaming"] {
            let (ours, grpcio_s) = (case.ours(kind).await, case.grpcio_s(kind, &python).await);
            let mut differences = DIFFERENCES.iter();
            let listed = differences.find(|(name, _)| *name == case.name);
            if (ours == grpcio_s) == listed.is_some() {
                wrong.push(format!(
                    "{}, {kind}: listed: {listed:?}\n  ours: {ours:?}\n  grpcio's: {grpcio_s:?}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Each difference is of a case that there is, so that none outlives its case.
    let names: Vec<_> = cases().iter().map(|case| case.name).collect();
    assert!(DIFFERENCES.iter().all(|(name, _)| names.contains(name)));
}
