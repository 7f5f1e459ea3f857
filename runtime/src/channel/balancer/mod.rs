//! Which of a channel's subchannels a call goes to.

mod least_request;
mod ring;
mod ring_hash;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tonic::Status;

pub(super) use self::ring::Ring;
use self::{least_request::LeastRequest, ring_hash::RingPicker};
use super::{
    pick_request::PickRequest,
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
    /// Where a call goes depends on its hash, and so does what is done without a connection.
    RingHash(RingPicker),
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
    LeastRequest(LeastRequest),
}

/// What a call is to do.
pub(super) enum Pick {
    /// Wake the channel up, and wait.
    Activate,
    /// Have the subchannel connect, and wait.
    Connect(Arc<Subchannel>),
    Wait,
    Open(Arc<Subchannel>),
    /// Use one, and have another connect meanwhile.
    OpenAndConnect {
        open: Arc<Subchannel>,
        connect: Arc<Subchannel>,
    },
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
                choice: Choice::of(policy, &ready),
                subchannels: ready,
            }),
            _ if connecting => Self::Connecting,
            (Some(idle), _) => Self::OnDemand(idle),
            (None, Some(failure)) => Self::TransientFailure(failure),
            (None, None) => Self::Connecting,
        }
    }

    /// The picker over `subchannels`, which are in the order of the ring's addresses.
    pub(super) fn by_hash(ring: &Arc<Ring>, subchannels: &[Arc<Subchannel>]) -> Self {
        Self::RingHash(RingPicker::new(ring, subchannels))
    }

    /// A subchannel that is to connect though no call has asked for it.
    pub(super) fn to_connect(&self) -> Option<&Arc<Subchannel>> {
        match self {
            Self::RingHash(picker) => picker.to_connect(),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> ConnectivityState {
        match self {
            Self::Idle | Self::OnDemand(_) => ConnectivityState::Idle,
            Self::Connecting => ConnectivityState::Connecting,
            Self::Ready(_) => ConnectivityState::Ready,
            Self::RingHash(picker) => picker.state(),
            Self::TransientFailure(_) => ConnectivityState::TransientFailure,
        }
    }

    pub(super) fn pick(&self, request: PickRequest<'_>) -> Pick {
        match self {
            Self::Idle => Pick::Activate,
            Self::Connecting => Pick::Wait,
            Self::OnDemand(subchannel) => Pick::Connect(Arc::clone(subchannel)),
            Self::Ready(ready) => Pick::Open(Arc::clone(ready.choose())),
            Self::RingHash(picker) => picker.pick(request),
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
            Choice::LeastRequest(least_request) => least_request.choose(subchannels),
        };
        &subchannels[index]
    }
}

impl Choice {
    fn of(policy: &LoadBalancing, subchannels: &[Arc<Subchannel>]) -> Self {
        match policy {
            // That of `ring_hash` has a picker of its own.
            LoadBalancing::PickFirst { .. } | LoadBalancing::RingHash(_) => Self::First,
            // A random start: all clients beginning with the same server would be no balance.
            LoadBalancing::RoundRobin => Self::RoundRobin(AtomicUsize::new(fastrand::usize(..))),
            LoadBalancing::LeastRequest {
                choice_count,
                slow_start,
            } => Self::LeastRequest(LeastRequest::new(*choice_count, *slow_start, subchannels)),
        }
    }
}
