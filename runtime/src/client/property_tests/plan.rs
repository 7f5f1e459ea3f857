//! What a case is made of: a config, a peer's behaviour, and calls.

use h2::Reason;
use proptest::{collection::vec, option, prelude::*, sample::select, sample::subsequence};
use wireloom_peer::{Act, Connect, Last, Step, text};

/// Whether a policy's codes have it or not, a peer may fail with it; DEADLINE_EXCEEDED is the client's own.
const CODES: [i32; 6] = [14, 8, 10, 5, 13, 0];

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) policy: Policy,
    /// In milliseconds; there is one where a peer may stall.
    pub(super) timeout: Option<u64>,
    pub(super) throttling: Option<(u32, f64)>,
    pub(super) max_attempts: u32,
    pub(super) call_buffer: usize,
    pub(super) channel_buffer: usize,
    pub(super) connects: Vec<Connect>,
    pub(super) behaviours: Vec<Behaviour>,
    pub(super) calls: Vec<PlannedCall>,
    /// Of the random factors of delays.
    pub(super) jitter: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Policy {
    Single,
    Retry {
        max_attempts: u32,
        initial_backoff: u32,
        max_backoff: u32,
        multiplier: f64,
        codes: Vec<i32>,
    },
    Hedging {
        max_attempts: u32,
        delay: u32,
        codes: Vec<i32>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

#[derive(Clone, Debug)]
pub(super) struct PlannedCall {
    /// When it is made, in milliseconds from the start.
    pub(super) at: u64,
    pub(super) kind: Kind,
    /// How long after the one before it each message comes, in milliseconds, and its length.
    pub(super) messages: Vec<(u64, usize)>,
}

/// What the peer does with one attempt.
#[derive(Clone, Debug)]
pub(super) struct Behaviour {
    pub(super) reads: Reads,
    hold_window: bool,
    wait: u64,
    answer: Answer,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reads {
    Nothing,
    Messages(usize),
    All,
}

#[derive(Clone, Debug)]
enum Answer {
    /// No response headers; a status is Trailers-Only.
    None,
    /// Headers and so many messages, so many milliseconds apart.
    Messages(usize, u64),
}

#[derive(Clone, Debug)]
enum End {
    Status(i32, Option<&'static str>),
    Reset(Reason),
    /// The stream is reset within a message.
    ResetInMessage(Reason),
    GoAway(Last),
    GoAwayThenStatus(Last, i32),
    Close,
    Stall,
}

impl Behaviour {
    /// The messages that the peer answers with on attempt `index`.
    pub(super) fn messages(&self, index: usize) -> Vec<String> {
        match self.answer {
            Answer::None => Vec::new(),
            Answer::Messages(count, _) => (0..count).map(|i| format!("{index}:{i}")).collect(),
        }
    }

    /// Whether the peer says OK after all messages.
    pub(super) fn ends_ok(&self) -> bool {
        matches!(self.end, End::Status(0, _) | End::GoAwayThenStatus(_, 0))
    }

    /// The script of attempt `index`.
    pub(super) fn act(&self, index: usize) -> Act {
        let mut act = Act::default();
        if self.hold_window {
            act = act.step(Step::HoldWindow);
        }
        act = match self.reads {
            Reads::Nothing => act,
            Reads::Messages(count) => act.step(Step::ReadMessages(count)),
            Reads::All => act.step(Step::ReadAll),
        };
        act = act.wait(self.wait);
        if let Answer::Messages(_, apart) = self.answer {
            act = act.headers();
            for message in self.messages(index) {
                act = act.wait(apart).message(&message);
            }
        }
        let headers_only = matches!(self.answer, Answer::None);
        let status = |act: Act, code: i32, pushback: Option<&str>| {
            let fields: Vec<_> = pushback
                .map(|value| ("grpc-retry-pushback-ms", value))
                .into_iter()
                .collect();
            match headers_only {
                true => act.trailers_only(code, &fields),
                false => act.trailers_with(code, &fields),
            }
        };
        match self.end {
            End::Status(code, pushback) => status(act, code, pushback),
            End::Reset(reason) => act.reset(reason),
            End::ResetInMessage(reason) => {
                let act = if headers_only { act.headers() } else { act };
                let part = text("in part");
                act.step(Step::Data([&[0, 0, 0, 0, 99], &part[..]].concat()))
                    .wait(1)
                    .reset(reason)
            }
            End::GoAway(last) => act.go_away(last),
            End::GoAwayThenStatus(last, code) => status(act.go_away(last).wait(2), code, None),
            End::Close => act.close(),
            End::Stall => act,
        }
    }

    /// Whether only a deadline may end the attempt.
    fn may_stall(&self) -> bool {
        self.hold_window || matches!(self.end, End::Stall | End::GoAway(_))
    }
}

impl Plan {
    /// The service config, as JSON.
    pub(super) fn config(&self) -> String {
        let mut method = vec![r#""name": [{}]"#.to_owned()];
        if let Some(ms) = self.timeout {
            method.push(format!(r#""timeout": {}"#, seconds(ms)));
        }
        match &self.policy {
            Policy::Single => {}
            Policy::Retry {
                max_attempts,
                initial_backoff,
                max_backoff,
                multiplier,
                codes,
            } => method.push(format!(
                r#""retryPolicy": {{"maxAttempts": {max_attempts}, "initialBackoff": {}, "maxBackoff": {},
                    "backoffMultiplier": {multiplier}, "retryableStatusCodes": {codes:?}}}"#,
                seconds((*initial_backoff).into()),
                seconds((*max_backoff).into()),
            )),
            Policy::Hedging {
                max_attempts,
                delay,
                codes,
            } => method.push(format!(
                r#""hedgingPolicy": {{"maxAttempts": {max_attempts}, "hedgingDelay": {},
                    "nonFatalStatusCodes": {codes:?}}}"#,
                seconds((*delay).into()),
            )),
        }
        let throttling = match self.throttling {
            Some((max, ratio)) => {
                format!(r#", "retryThrottling": {{"maxTokens": {max}, "tokenRatio": {ratio}}}"#)
            }
            None => String::new(),
        };
        format!(
            r#"{{"methodConfig": [{{{}}}]{throttling}}}"#,
            method.join(", ")
        )
    }

    /// The most attempts that a call may make, transparent ones apart.
    pub(super) fn most_attempts(&self) -> usize {
        let attempts = match self.policy {
            Policy::Single => 1,
            Policy::Retry { max_attempts, .. } | Policy::Hedging { max_attempts, .. } => {
                max_attempts.min(self.max_attempts)
            }
        };
        attempts as usize
    }
}

fn seconds(ms: u64) -> String {
    format!(r#""{}.{:03}s""#, ms / 1000, ms % 1000)
}

pub(super) fn plans() -> impl Strategy<Value = Plan> {
    let limits = (
        2..7u32,
        select(vec![0usize, 16, 200, 4096, 1 << 18]),
        select(vec![0usize, 300, 1 << 20]),
    );
    let connect = prop_oneof![4 => Just(Connect::Accept), 1 => Just(Connect::Refuse)];
    let peer = (vec(connect, 0..4), vec(behaviour(), 0..8));
    (
        policy(),
        option::of(1..500u64),
        option::of((1..10u32, 0.1..2.0)),
        limits,
        peer,
        vec(call(), 1..4),
        any::<u64>(),
    )
        .prop_map(
            |(policy, timeout, throttling, limits, peer, calls, jitter)| {
                let (max_attempts, call_buffer, channel_buffer) = limits;
                let (connects, behaviours) = peer;
                let may_stall = behaviours.iter().any(Behaviour::may_stall);
                Plan {
                    policy,
                    timeout: timeout.or(may_stall.then_some(200)),
                    throttling,
                    max_attempts,
                    call_buffer,
                    channel_buffer,
                    connects,
                    behaviours,
                    calls,
                    jitter,
                }
            },
        )
}

fn policy() -> impl Strategy<Value = Policy> {
    let retry = (
        2..7u32,
        1..50u32,
        1..50u32,
        0.5..3.0,
        subsequence(vec![14, 8, 10], 1..=3),
    );
    let hedging = (
        2..7u32,
        prop_oneof![Just(0), 1..50u32],
        subsequence(vec![14, 8, 10], 0..=3),
    );
    prop_oneof![
        1 => Just(Policy::Single),
        3 => retry.prop_map(|(max_attempts, initial_backoff, max_backoff, multiplier, codes)| {
            Policy::Retry { max_attempts, initial_backoff, max_backoff, multiplier, codes }
        }),
        3 => hedging.prop_map(|(max_attempts, delay, codes)| {
            Policy::Hedging { max_attempts, delay, codes }
        }),
    ]
}

fn call() -> impl Strategy<Value = PlannedCall> {
    let message = (
        prop_oneof![Just(0), 0..20u64],
        prop_oneof![4 => 0..300usize, 1 => Just(70_000)],
    );
    let kind = select(vec![
        Kind::Unary,
        Kind::ServerStreaming,
        Kind::ClientStreaming,
        Kind::Bidi,
    ]);
    let at = prop_oneof![Just(0), 0..300u64];
    (at, kind, vec(message, 1..6)).prop_map(|(at, kind, mut messages)| {
        if matches!(kind, Kind::Unary | Kind::ServerStreaming) {
            messages.truncate(1);
        }
        PlannedCall { at, kind, messages }
    })
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let reads = prop_oneof![
        1 => Just(Reads::Nothing),
        1 => (1..4usize).prop_map(Reads::Messages),
        3 => Just(Reads::All),
    ];
    let answer = prop_oneof![
        2 => Just(Answer::None),
        2 => (0..4usize, 0..10u64).prop_map(|(count, apart)| Answer::Messages(count, apart)),
    ];
    let reason = || {
        let others = select(vec![
            Reason::INTERNAL_ERROR,
            Reason::CANCEL,
            Reason::NO_ERROR,
        ]);
        prop_oneof![Just(Reason::REFUSED_STREAM), others]
    };
    let last = || select(vec![Last::Zero, Last::Below, Last::This, Last::Max]);
    let pushback = option::weighted(0.3, select(vec!["0", "7", "-1", "soon"]));
    let end = prop_oneof![
        6 => (select(CODES.to_vec()), pushback).prop_map(|(code, pushback)| End::Status(code, pushback)),
        3 => reason().prop_map(End::Reset),
        1 => reason().prop_map(End::ResetInMessage),
        1 => last().prop_map(End::GoAway),
        1 => (last(), select(CODES.to_vec())).prop_map(|(last, code)| End::GoAwayThenStatus(last, code)),
        1 => Just(End::Close),
        1 => Just(End::Stall),
    ];
    (reads, prop::bool::weighted(0.1), 0..40u64, answer, end).prop_map(
        |(reads, hold_window, wait, answer, end)| Behaviour {
            reads,
            hold_window,
            wait,
            answer,
            end,
        },
    )
}
