//! Which of a channel's subchannels a call goes to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tonic::Status;

use super::{
    state::ConnectivityState,
    subchannel::{Condition, Subchannel},
};
use crate::policy::LoadBalancing;

/// What calls look at to find a connection; made anew whenever a subchannel changes.
#[derive(Debug)]
pub(super) enum Picker {
    /// Nobody has asked for a connection yet.
    Idle,
    /// One is being made, or where to is being found out.
    Connecting,
    /// The subchannel has no connection, and makes none unless it is asked to.
    OnDemand(Arc<Subchannel>),
    Ready(Ready),
    TransientFailure(Arc<Status>),
}

/// Subchannels with connections, and how one is chosen.
#[derive(Debug)]
pub(super) struct Ready {
    subchannels: Vec<Arc<Subchannel>>,
    choice: Choice,
}

#[derive(Debug)]
enum Choice {
    /// There is one.
    First,
    RoundRobin(AtomicUsize),
    LeastRequest {
        choice_count: u32,
    },
}

/// What a call is to do.
pub(super) enum Pick {
    /// Wake the channel up, and wait.
    Activate,
    /// Have the subchannel connect, and wait.
    Connect(Arc<Subchannel>),
    Wait,
    Open(Arc<Subchannel>),
    Fail(Arc<Status>),
}

impl Picker {
    /// The picker over `subchannels`, by `policy`.
    pub(super) fn new(policy: &LoadBalancing, subchannels: &[Arc<Subchannel>]) -> Self {
        let mut ready = Vec::new();
        let mut connecting = false;
        let mut failure = None;
        let mut idle = None;
        for subchannel in subchannels {
            match subchannel.condition() {
                Condition::Ready => ready.push(Arc::clone(subchannel)),
                Condition::Connecting => connecting = true,
                Condition::Idle => idle = Some(Arc::clone(subchannel)),
                Condition::TransientFailure(status) => failure = Some(status),
            }
        }
        match (idle, failure) {
            _ if !ready.is_empty() => Self::Ready(Ready {
                subchannels: ready,
                choice: Choice::of(policy),
            }),
            _ if connecting => Self::Connecting,
            (Some(idle), _) => Self::OnDemand(idle),
            (None, Some(failure)) => Self::TransientFailure(failure),
            (None, None) => Self::Connecting,
        }
    }

    pub(super) fn state(&self) -> ConnectivityState {
        match self {
            Self::Idle | Self::OnDemand(_) => ConnectivityState::Idle,
            Self::Connecting => ConnectivityState::Connecting,
            Self::Ready(_) => ConnectivityState::Ready,
            Self::TransientFailure(_) => ConnectivityState::TransientFailure,
        }
    }

    pub(super) fn pick(&self) -> Pick {
        match self {
            Self::Idle => Pick::Activate,
            Self::Connecting => Pick::Wait,
            Self::OnDemand(subchannel) => Pick::Connect(Arc::clone(subchannel)),
            Self::Ready(ready) => Pick::Open(Arc::clone(ready.choose())),
            Self::TransientFailure(status) => Pick::Fail(Arc::clone(status)),
        }
    }
}

impl Ready {
    fn choose(&self) -> &Arc<Subchannel> {
        let Self {
            subchannels,
            choice,
        } = self;
        let index = match choice {
            Choice::First => 0,
            Choice::RoundRobin(next) => next.fetch_add(1, Ordering::Relaxed) % subchannels.len(),
            Choice::LeastRequest { choice_count } => {
                let chosen = (0..*choice_count).map(|_| fastrand::usize(..subchannels.len()));
                let in_flight = |index: &usize| subchannels[*index].turns().in_flight();
                chosen.min_by_key(in_flight).unwrap_or_default()
            }
        };
        &subchannels[index]
    }
}

impl Choice {
    fn of(policy: &LoadBalancing) -> Self {
        match policy {
            LoadBalancing::PickFirst => Self::First,
            // A random start: all clients beginning with the same server would be no balance.
            LoadBalancing::RoundRobin => Self::RoundRobin(AtomicUsize::new(fastrand::usize(..))),
            LoadBalancing::LeastRequest { choice_count } => Self::LeastRequest {
                choice_count: *choice_count,
            },
        }
    }
}
