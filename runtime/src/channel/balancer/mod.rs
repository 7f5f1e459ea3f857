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
    /// The subchannels have no connections, and make none unless they are asked to.
    OnDemand(Vec<Arc<Subchannel>>),
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
    /// Whether there is to be another.
    connecting: bool,
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
    /// Have the subchannels connect, and wait.
    Connect(Vec<Arc<Subchannel>>),
    Wait,
    Open(Arc<Subchannel>),
    /// Use one, and have another connect meanwhile.
    OpenAndConnect {
        open: Arc<Subchannel>,
        connect: Arc<Subchannel>,
    },
    Fail(Arc<Status>),
    /// Fail, whatever the call's policy, and without waiting.
    Drop(Status),
}

impl Picker {
    /// The picker over `subchannels`, by `policy`.
    pub(super) fn new(policy: &LoadBalancing, subchannels: &[Arc<Subchannel>]) -> Self {
        let mut ready = Vec::new();
        let mut connecting = false;
        let mut failure = None;
        let mut idle = Vec::new();
        for subchannel in subchannels {
            match subchannel.condition() {
                Condition::Ready => ready.push(Arc::clone(subchannel)),
                Condition::Connecting => connecting = true,
                Condition::Idle => idle.push(Arc::clone(subchannel)),
                Condition::TransientFailure(status) => failure = Some(status),
            }
        }
        match failure {
            _ if !ready.is_empty() => Self::Ready(Ready {
                choice: Choice::of(policy, &ready),
                subchannels: ready,
                connecting,
            }),
            _ if connecting => Self::Connecting,
            _ if !idle.is_empty() => Self::OnDemand(idle),
            Some(failure) => Self::TransientFailure(failure),
            None => Self::Connecting,
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
            Self::OnDemand(subchannels) => Pick::Connect(subchannels.clone()),
            Self::Ready(ready) => ready.pick(request),
            Self::RingHash(picker) => picker.pick(request),
            Self::TransientFailure(status) => Pick::Fail(Arc::clone(status)),
        }
    }
}

impl Ready {
    fn pick(&self, request: PickRequest<'_>) -> Pick {
        let all = &self.subchannels;
        // What one may do all may: they have their circuit breaker in common.
        if !all.first().is_some_and(|first| first.may_refuse()) {
            return Pick::Open(Arc::clone(&all[self.choice.among_all(all)]));
        }
        let admits = |subchannel: &&Arc<Subchannel>| subchannel.admits(request.path);
        let some: Vec<_> = all.iter().filter(admits).cloned().collect();
        match self.choice.among(&some) {
            Some(index) => Pick::Open(Arc::clone(&some[index])),
            None if self.connecting => Pick::Wait,
            None => Pick::Drop(refused(request)),
        }
    }
}

/// Why no subchannel is given, where those with a connection would let no such call through.
fn refused(request: PickRequest<'_>) -> Status {
    let method = request.path;
    Status::unavailable(format!(
        "the circuit breaker is open for {method}: too many of its calls failed lately, at all servers"
    ))
}

impl Choice {
    /// The index of one of all subchannels.
    fn among_all(&self, all: &[Arc<Subchannel>]) -> usize {
        match self {
            Self::First => 0,
            Self::RoundRobin(next) => next.fetch_add(1, Ordering::Relaxed) % all.len(),
            Self::LeastRequest(least_request) => least_request.choose(all),
        }
    }

    /// The index of one of some of them; `None` where there is none.
    fn among(&self, some: &[Arc<Subchannel>]) -> Option<usize> {
        if some.is_empty() {
            return None;
        }
        Some(match self {
            Self::First | Self::RoundRobin(_) => self.among_all(some),
            Self::LeastRequest(least_request) => least_request.over(some).choose(some),
        })
    }

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
