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
    for call in &plan.calls {
        let before = peer.seen().len();
        let start = Instant::now();
        let made = tokio::time::timeout(FOREVER, make(&channel, call)).await;
        let took = start.elapsed();
        prop_assert!(made.is_ok(), "the call does not end");
        let outcome = made.unwrap();
        // What was sent as the call ended arrives.
        settle().await;
        let attempts = peer.seen().len();
        prop_assert_eq!(channel.replay_buffered_bytes(), 0, "bytes are kept");
        tokio::time::sleep(Duration::from_secs(1)).await;

        let seen = peer.seen();
        prop_assert_eq!(seen.len(), attempts, "an ended call made attempts");
        in_time(plan, &outcome, took)?;
        deadlines_agree(plan, start, &seen[before..])?;
        few_enough(plan, &seen[before..])?;
        sent_in_order(call, &seen[before..])?;
        one_answer(plan, call, &outcome, &seen, before)?;
    }
    Ok(())
}

/// What the caller got: messages, and how the call ended.
#[derive(Debug)]
struct Outcome {
    messages: Vec<String>,
    status: Result<(), Status>,
}

async fn make(channel: &Channel, call: &PlannedCall) -> Outcome {
    let messages: Vec<_> = call.messages.iter().map(|(wait, _)| *wait).collect();
    let messages = messages.into_iter().zip(requests(call));
    let first = requests(call).swap_remove(0);
    let requests = Box::pin(stream::iter(messages).then(|(wait, message)| async move {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        message
    }));
    match call.kind {
        Kind::Unary => of_one(channel.unary(&UNARY, first).await),
        Kind::ClientStreaming => of_one(channel.client_streaming(&SENDS, requests).await),
        Kind::ServerStreaming => of_many(channel.server_streaming(&RECEIVES, first).await).await,
        Kind::Bidi => of_many(channel.bidi_streaming(&BIDI, requests).await).await,
    }
}

/// The messages of a call, no two alike.
fn requests(call: &PlannedCall) -> Vec<String> {
    let lengths = call.messages.iter().enumerate();
    lengths
        .map(|(i, (_, length))| format!("{i}:{}", "x".repeat(*length)))
        .collect()
}

fn of_one(answer: Result<tonic::Response<String>, Status>) -> Outcome {
    match answer {
        Ok(answer) => Outcome {
            messages: vec![answer.into_inner()],
            status: Ok(()),
        },
        Err(status) => Outcome {
            messages: Vec::new(),
            status: Err(status),
        },
    }
}

async fn of_many(answer: Result<tonic::Response<Streaming<String>>, Status>) -> Outcome {
    let mut messages = Vec::new();
    let status = match answer {
        Ok(answer) => {
            let mut answers = answer.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(status),
                }
            }
        }
        Err(status) => Err(status),
    };
    Outcome { messages, status }
}

/// The deadline ends the call, when it passes and not before.
fn in_time(plan: &Plan, outcome: &Outcome, took: Duration) -> Result<(), TestCaseError> {
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

/// Each attempt tells the server the time that is left of the call's, and is not made where none is.
fn deadlines_agree(plan: &Plan, start: Instant, attempts: &[Seen]) -> Result<(), TestCaseError> {
    let timeout = plan.timeout.map(Duration::from_millis);
    for seen in attempts {
        let left = seen.header("grpc-timeout");
        let left = left.map(|left| decode_timeout(left.as_bytes()).unwrap());
        prop_assert_ne!(left, Some(Duration::ZERO));
        let whole = left.map(|left| seen.at - start + left);
        prop_assert_eq!(whole.is_some(), timeout.is_some());
        let apart = whole
            .zip(timeout)
            .map(|(whole, timeout)| whole.abs_diff(timeout));
        prop_assert!(apart.is_none_or(|apart| apart <= TICK), "{apart:?} apart");
    }
    Ok(())
}

/// At most `maxAttempts` attempts, and one more for the one transparent retry of what was refused.
fn few_enough(plan: &Plan, attempts: &[Seen]) -> Result<(), TestCaseError> {
    let numbers: Vec<usize> = attempts
        .iter()
        .map(|seen| seen.header("grpc-previous-rpc-attempts"))
        .map(|number| number.map_or(0, |number| number.parse().unwrap()))
        .collect();
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    prop_assert!(distinct.iter().all(|number| *number < plan.most_attempts()));
    prop_assert!(numbers.len() <= distinct.len() + 1, "{numbers:?}");
    Ok(())
}

/// Each attempt received what the caller sends from its beginning on, each message once.
fn sent_in_order(call: &PlannedCall, attempts: &[Seen]) -> Result<(), TestCaseError> {
    let sent: Vec<_> = requests(call).iter().map(|message| text(message)).collect();
    for seen in attempts {
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
    seen: &[Seen],
    before: usize,
) -> Result<(), TestCaseError> {
    let got = &outcome.messages;
    let ok = outcome.status.is_ok();
    // Which of the attempts may have given this answer.
    let mut answers = (before..seen.len()).filter(|index| match plan.behaviours.get(*index) {
        Some(behaviour) => {
            let answer = behaviour.messages(*index);
            let whole = !ok || (answer.len() == got.len() && behaviour.ends_ok());
            let read = !ok || behaviour.reads != Reads::All || got_all(call, &seen[*index]);
            whole && read && answer.starts_with(got)
        }
        None => {
            let whole = !ok || (got.len() == 1 && got_all(call, &seen[*index]));
            whole && ["answer".to_owned()].starts_with(got)
        }
    });
    prop_assert!(
        (got.is_empty() && !ok) || answers.next().is_some(),
        "no attempt gave {outcome:?}"
    );
    Ok(())
}

fn got_all(call: &PlannedCall, seen: &Seen) -> bool {
    seen.half_closed && seen.messages().len() == call.messages.len()
}
