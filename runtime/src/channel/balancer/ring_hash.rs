//! Which subchannel a call's hash leads to ([gRFC A42], with the walk of [gRFC A61] and A76).
//!
//! [gRFC A42]: https://github.com/grpc/proposal/blob/master/A42-xds-ring-hash-lb-policy.md
//! [gRFC A61]: https://github.com/grpc/proposal/blob/master/A61-IPv4-IPv6-dualstack-backends.md

use std::sync::Arc;

use super::{Pick, Ring, refused};
use crate::channel::{
    pick_request::PickRequest,
    state::ConnectivityState,
    subchannel::{Condition, Subchannel},
};

/// A ring of subchannels, and what each of them was when the picker was made.
#[derive(Debug)]
pub(in crate::channel) struct RingPicker {
    ring: Arc<Ring>,
    subchannels: Vec<(Arc<Subchannel>, Condition)>,
}

impl RingPicker {
    /// The subchannels are in the order of the ring's addresses; there is at least one.
    pub(super) fn new(ring: &Arc<Ring>, subchannels: &[Arc<Subchannel>]) -> Self {
        let subchannels = subchannels.iter();
        Self {
            ring: Arc::clone(ring),
            subchannels: subchannels
                .map(|subchannel| (Arc::clone(subchannel), subchannel.condition()))
                .collect(),
        }
    }

    /// The state by the rules of gRFC A42: two failures are taken for one of all, since the others may never be tried.
    pub(super) fn state(&self) -> ConnectivityState {
        let count = |is: fn(&Condition) -> bool| {
            let conditions = self.subchannels.iter().map(|(_, condition)| condition);
            conditions.filter(|condition| is(condition)).count()
        };
        let failed = count(|condition| matches!(condition, Condition::TransientFailure(_)));
        if count(|condition| matches!(condition, Condition::Ready)) > 0 {
            ConnectivityState::Ready
        } else if failed >= 2 {
            ConnectivityState::TransientFailure
        } else if self.is_connecting() || failed == 1 && self.subchannels.len() > 1 {
            ConnectivityState::Connecting
        } else if failed == 0 {
            ConnectivityState::Idle
        } else {
            ConnectivityState::TransientFailure
        }
    }

    fn is_connecting(&self) -> bool {
        let mut subchannels = self.subchannels.iter();
        subchannels.any(|(_, condition)| matches!(condition, Condition::Connecting))
    }

    /// What is to connect although no call asked for it: while there is no connection at all and some could not be made,
    /// the next is tried, so that the state does not stay what it is for want of calls.
    pub(super) fn to_connect(&self) -> Option<&Arc<Subchannel>> {
        let seeks = matches!(
            self.state(),
            ConnectivityState::Connecting | ConnectivityState::TransientFailure
        );
        if !seeks || self.is_connecting() {
            return None;
        }
        let mut subchannels = self.subchannels.iter();
        let idle = subchannels.find(|(_, condition)| matches!(condition, Condition::Idle));
        idle.map(|(subchannel, _)| subchannel)
    }

    pub(super) fn pick(&self, request: PickRequest<'_>) -> Pick {
        match self.ring.hash_of(request.metadata) {
            Some(hash) => self.pick_by(hash, request),
            None => self.pick_at_random(request),
        }
    }

    /// The first subchannel from `hash` on which has not failed: it makes a connection, should it have none.
    fn pick_by(&self, hash: u64, request: PickRequest<'_>) -> Pick {
        let mut was_refused = false;
        for index in self.ring.from(hash) {
            let (subchannel, condition) = &self.subchannels[index];
            return match condition {
                Condition::Ready if !subchannel.admits(request.path) => {
                    was_refused = true;
                    continue;
                }
                Condition::Ready => Pick::Open(Arc::clone(subchannel)),
                Condition::Idle => Pick::Connect(vec![Arc::clone(subchannel)]),
                Condition::Connecting => Pick::Wait,
                Condition::TransientFailure(_) => continue,
            };
        }
        if was_refused {
            return Pick::Drop(refused(request));
        }
        self.fail(hash)
    }

    /// The first subchannel with a connection from anywhere on. One without is made to connect on the way, if none does.
    fn pick_at_random(&self, request: PickRequest<'_>) -> Pick {
        let mut was_refused = false;
        let hash = fastrand::u64(..);
        let mut idle = None;
        let is_connecting = self.is_connecting();
        for index in self.ring.from(hash) {
            let (subchannel, condition) = &self.subchannels[index];
            match condition {
                Condition::Ready if !subchannel.admits(request.path) => was_refused = true,
                Condition::Ready => {
                    let open = Arc::clone(subchannel);
                    return match idle {
                        Some(connect) => Pick::OpenAndConnect { open, connect },
                        None => Pick::Open(open),
                    };
                }
                Condition::Idle if !is_connecting && idle.is_none() => {
                    idle = Some(Arc::clone(subchannel));
                }
                _ => {}
            }
        }
        match idle {
            Some(idle) => Pick::Connect(vec![idle]),
            None if is_connecting => Pick::Wait,
            None if was_refused => Pick::Drop(refused(request)),
            None => self.fail(hash),
        }
    }

    /// All have failed: the call fails as the one that it belongs to.
    fn fail(&self, hash: u64) -> Pick {
        let of = |index: usize| match &self.subchannels[index].1 {
            Condition::TransientFailure(status) => Some(Pick::Fail(Arc::clone(status))),
            _ => None,
        };
        self.ring.from(hash).find_map(of).unwrap_or(Pick::Wait)
    }
}
