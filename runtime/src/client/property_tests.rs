//! What holds of every call, whatever the config, the peer and the messages.

mod plan;

use std::{collections::BTreeSet, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use tokio::time::Instant;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Code, Status};
use wireloom_peer::{Peer, Script, Seen, text};

use self::plan::{Kind, Plan, PlannedCall, Reads, plans};
use super::scripted_peer::{Scripted as _, settle};
use crate::{
    channel::Channel, deadline::decode_timeout, method::Method, service_config::ServiceConfig,
    streaming::Streaming,
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");
static RECEIVES: Method<String, String> = Method::server_streaming("/test.Test/Receives");
static SENDS: Method<String, String> = Method::client_streaming("/test.Test/Sends");
static BIDI: Method<String, String> = Method::bidi_streaming("/test.Test/Bidi");

const CASES: u32 = 400;

/// A call that takes longer never ends.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// The tick of the clock's timers.
const TICK: Duration = Duration::from_millis(1);

/// To run a failure again, set the variable to the seed that it printed.
const SEED: &str = "WIRELOOM_TEST_SEED";

#[test]
fn calls_keep_their_promises_whatever_config_peer_and_messages() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let result = TestRunner::new_with_rng(config, rng).run(&plans(), |plan| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(holds(&plan))
    });
    if let Err(error) = result {
        panic!("{error}\nto run it again: {SEED}={seed}");
    }
}

async fn holds(plan: &Plan) -> Result<(), TestCaseError> {
    fastrand::seed(plan.jitter);
    let peer = Peer::scripted(Script {
        connections: plan.connects.clone(),
        requests: (plan.behaviours.iter().enumerate())
            .map(|(index, behaviour)| behaviour.act(index))
            .collect(),
        max_concurrent_streams: None,
    });
    let config = ServiceConfig::from_json(&plan.config()).unwrap();
    let channel = peer.channel_with(|builder| {
        builder
            .service_config(config)
            .max_attempts(plan.max_attempts)
            .max_replay_buffer_size(plan.call_buffer)
            .max_channel_replay_buffer_size(plan.channel_buffer)
    });
    let calls = plan.calls.iter().enumerate();
    let calls: Vec<_> = calls
        .map(|(id, call)| tokio::spawn(make(channel.clone(), id, call.clone())))
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        let outcome = tokio::time::timeout(FOREVER, call).await;
        prop_assert!(outcome.is_ok(), "a call does not end");
        outcomes.push(outcome.unwrap().unwrap());
    }
    settle().await;
    prop_assert_eq!(channel.replay_buffered_bytes(), 0, "bytes are kept");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let seen: Vec<_> = peer.seen().into_iter().enumerate().collect();
    for (id, (call, outcome)) in plan.calls.iter().zip(&outcomes).enumerate() {
        let id = id.to_string();
        let mut attempts = seen.clone();
        attempts.retain(|(_, seen)| seen.header("call") == Some(&id));
        in_time(plan, outcome)?;
        deadlines_agree(plan, outcome, &attempts)?;
        few_enough(plan, &attempts)?;
        sent_in_order(call, &attempts)?;
        one_answer(plan, call, outcome, &attempts)?;
    }
    Ok(())
}

/// An attempt, with its place among those of all calls.
type Attempt = (usize, Seen);

/// What the caller got: messages, and how the call ended.
#[derive(Debug)]
struct Outcome {
    start: Instant,
    end: Instant,
    messages: Vec<String>,
    status: Result<(), Status>,
}

async fn make(channel: Channel, id: usize, call: PlannedCall) -> Outcome {
    tokio::time::sleep(Duration::from_millis(call.at)).await;
    let start = Instant::now();
    let (messages, status) = answers(&channel, &id.to_string(), &call).await;
    Outcome {
        start,
        end: Instant::now(),
        messages,
        status,
    }
}

async fn answers(
    channel: &Channel,
    id: &str,
    call: &PlannedCall,
) -> (Vec<String>, Result<(), Status>) {
    let waits: Vec<_> = call.messages.iter().map(|(wait, _)| *wait).collect();
    let messages = waits.into_iter().zip(requests(call));
    let first = requests(call).swap_remove(0);
    let requests = Box::pin(stream::iter(messages).then(|(wait, message)| async move {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        message
    }));
    match call.kind {
        Kind::Unary => of_one(channel.unary(&UNARY, first).metadata("call", id).await),
        Kind::ClientStreaming => {
            let call = channel.client_streaming(&SENDS, requests);
            of_one(call.metadata("call", id).await)
        }
        Kind::ServerStreaming => {
            let call = channel.server_streaming(&RECEIVES, first);
            of_many(call.metadata("call", id).await).await
        }
        Kind::Bidi => {
            let call = channel.bidi_streaming(&BIDI, requests);
            of_many(call.metadata("call", id).await).await
        }
    }
}

/// The messages of a call, no two alike.
fn requests(call: &PlannedCall) -> Vec<String> {
    let lengths = call.messages.iter().enumerate();
    lengths
        .map(|(i, (_, length))| format!("{i}:{}", "x".repeat(*length)))
        .collect()
}

fn of_one(answer: Result<tonic::Response<String>, Status>) -> (Vec<String>, Result<(), Status>) {
    match answer {
        Ok(answer) => (vec![answer.into_inner()], Ok(())),
        Err(status) => (Vec::new(), Err(status)),
    }
}

async fn of_many(
    answer: Result<tonic::Response<Streaming<String>>, Status>,
) -> (Vec<String>, Result<(), Status>) {
    let mut messages = Vec::new();
    let mut answers = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (messages, Err(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, Ok(())),
            Err(status) => return (messages, Err(status)),
        }
    }
}

/// The deadline ends the call, when it passes and not before.
fn in_time(plan: &Plan, outcome: &Outcome) -> Result<(), TestCaseError> {
    let took = outcome.end - outcome.start;
    let expired = matches!(&outcome.status, Err(status) if status.code() == Code::DeadlineExceeded);
    match plan.timeout.map(Duration::from_millis) {
        Some(timeout) => {
            prop_assert!(took <= timeout + TICK, "it took {took:?}");
            prop_assert!(!expired || took >= timeout, "it expired after {took:?}");
        }
        None => prop_assert!(!expired, "it expired without a deadline"),
    }
    Ok(())
}

/// Each attempt tells the server the time that is left of the call's; none is made where none is left, or once the call
/// has ended.
fn deadlines_agree(
    plan: &Plan,
    outcome: &Outcome,
    attempts: &[Attempt],
) -> Result<(), TestCaseError> {
    let timeout = plan.timeout.map(Duration::from_millis);
    for (_, seen) in attempts {
        prop_assert!(seen.at <= outcome.end + TICK, "an ended call made attempts");
        let left = seen.header("grpc-timeout");
        let left = left.map(|left| decode_timeout(left.as_bytes()).unwrap());
        prop_assert_ne!(left, Some(Duration::ZERO));
        let whole = left.map(|left| seen.at - outcome.start + left);
        prop_assert_eq!(whole.is_some(), timeout.is_some());
        let apart = whole
            .zip(timeout)
            .map(|(whole, timeout)| whole.abs_diff(timeout));
        prop_assert!(apart.is_none_or(|apart| apart <= TICK), "{apart:?} apart");
    }
    Ok(())
}

/// At most `maxAttempts` attempts, and one more for the one transparent retry of what was refused.
fn few_enough(plan: &Plan, attempts: &[Attempt]) -> Result<(), TestCaseError> {
    let numbers: Vec<usize> = attempts
        .iter()
        .map(|(_, seen)| seen.header("grpc-previous-rpc-attempts"))
        .map(|number| number.map_or(0, |number| number.parse().unwrap()))
        .collect();
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    prop_assert!(distinct.iter().all(|number| *number < plan.most_attempts()));
    prop_assert!(numbers.len() <= distinct.len() + 1, "{numbers:?}");
    Ok(())
}

/// Each attempt received what the caller sends from its beginning on, each message once.
fn sent_in_order(call: &PlannedCall, attempts: &[Attempt]) -> Result<(), TestCaseError> {
    let sent: Vec<_> = requests(call).iter().map(|message| text(message)).collect();
    for (_, seen) in attempts {
        let received = seen.messages();
        prop_assert!(received.len() <= sent.len());
        prop_assert!(received.iter().zip(&sent).all(|(got, sent)| got == sent));
        let all = received.len() == sent.len();
        prop_assert!(all || !seen.half_closed, "a message is missing");
    }
    Ok(())
}

/// The caller gets the answer of one attempt, from its beginning on; an OK one whole.
fn one_answer(
    plan: &Plan,
    call: &PlannedCall,
    outcome: &Outcome,
    attempts: &[Attempt],
) -> Result<(), TestCaseError> {
    let got = &outcome.messages;
    let ok = outcome.status.is_ok();
    let gave_this = |(index, seen): &Attempt| {
        let got_all = seen.half_closed && seen.messages().len() == call.messages.len();
        let (answer, ends_ok, reads_all) = match plan.behaviours.get(*index) {
            Some(behaviour) => (
                behaviour.messages(*index),
                behaviour.ends_ok(),
                behaviour.reads == Reads::All,
            ),
            None => (vec!["answer".to_owned()], true, true),
        };
        let whole = ends_ok && answer.len() == got.len() && (got_all || !reads_all);
        answer.starts_with(got) && (whole || !ok)
    };
    prop_assert!(
        (got.is_empty() && !ok) || attempts.iter().any(gave_this),
        "no attempt gave {outcome:?}"
    );
    Ok(())
}
