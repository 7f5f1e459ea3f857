//! The subchannels of a channel, as its addresses and its service config have them.

use std::sync::{Arc, Weak, atomic::Ordering};

use tokio::time::Instant;

use super::{Core, State, policy, runtime};
use crate::{
    channel::{
        address::Address,
        balancer::Ring,
        outliers::{Ejection, Outliers, compare},
        subchannel::{Reconnect, Subchannel},
    },
    policy::LoadBalancing,
};

impl Core {
    /// Follows a change of the service config.
    pub(in crate::channel) fn reconfigured(&self) {
        let mut state = self.lock();
        self.follow_config(&mut state);
        self.settle(state);
    }

    pub(super) fn follow_config(&self, state: &mut State) {
        let policy = policy(&self.config, &self.default_policy);
        if state.policy != policy {
            state.policy = policy;
            self.arrange(state);
        }
        self.check_health(state);
        self.detect_outliers(state);
    }

    /// Has the addresses compared that the policy chooses among, where that is asked for.
    pub(super) fn detect_outliers(&self, state: &mut State) {
        let active = self.config.current();
        let configured = active.config.outlier_detection().copied();
        let detection = match state.policy {
            LoadBalancing::PickFirst { .. } => None,
            _ => configured.or(self.default_outlier_detection),
        };
        let detection = detection.filter(|detection| detection.ejects() && state.active.is_some());
        let before = state.outliers.as_ref();
        let stays = match (before, &detection) {
            (Some(before), Some(detection)) => before.compares(detection),
            (before, detection) => before.is_none() && detection.is_none(),
        };
        if stays {
            return;
        }
        let begun = before.map(|outliers| outliers.since);
        let detection = detection.zip(runtime(state));
        self.tells.store(detection.is_some(), Ordering::Relaxed);
        // Its task looks at nothing when it is dropped: it may be begun with the lock held.
        state.outliers = detection.as_ref().map(|(detection, runtime)| {
            let since = begun.unwrap_or_else(Instant::now);
            Outliers::begin(Weak::clone(&self.me), *detection, since, runtime)
        });
        for subchannel in &state.subchannels {
            if begun.is_none() {
                subchannel.take_host();
            }
            if detection.is_none() {
                subchannel.set_ejection(Ejection::default());
            }
        }
    }

    /// Compares the addresses: an interval has passed.
    pub(in crate::channel) fn compare_addresses(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(outliers) = &mut state.outliers else {
            return;
        };
        let now = Instant::now();
        outliers.since = now;
        let subchannels = &state.subchannels;
        let mut hosts: Vec<_> = subchannels
            .iter()
            .map(|subchannel| subchannel.take_host())
            .collect();
        compare(&outliers.detection, &mut hosts, now, || {
            fastrand::u32(..100)
        });
        let deadline = now + self.connector.timeout;
        let mut changed = false;
        for (subchannel, host) in subchannels.iter().zip(hosts) {
            if !subchannel.set_ejection(host.ejection) {
                continue;
            }
            changed = true;
            // It may have been left out as the others were connected to again.
            if host.ejection.since.is_none() && state.ring.is_none() && subchannel.begins() {
                state.begins.push((Arc::clone(subchannel), deadline));
            }
        }
        if changed {
            // It may be that one of a ring is to connect in the place of one that is ejected.
            self.settle(guard);
        }
    }

    /// Has the health of each address checked that the policy chooses among.
    fn check_health(&self, state: &State) {
        let active = self.config.current();
        let service = match state.policy {
            LoadBalancing::PickFirst { .. } => None,
            _ => match active.config.health_check_service() {
                Some(service) => Some(service.into()),
                None => self.default_health_check.clone(),
            },
        };
        for subchannel in &state.subchannels {
            subchannel.check_health(service.clone());
        }
    }

    /// Has a subchannel for each address, or for all, as the policy asks for; those that are there already stay.
    pub(super) fn arrange(&self, state: &mut State) {
        if state.addresses.is_empty() {
            return;
        }
        let before = std::mem::take(&mut state.subchannels);
        let addresses = Arc::clone(&state.addresses);
        state.ring = None;
        state.subchannels = match &state.policy {
            LoadBalancing::PickFirst {
                shuffle_address_list: false,
            } => vec![self.one_for_all(before, &addresses)],
            LoadBalancing::PickFirst {
                shuffle_address_list: true,
            } => vec![self.one_for_all(before, &shuffled(&addresses))],
            LoadBalancing::RoundRobin | LoadBalancing::LeastRequest { .. } => {
                self.one_for_each(&before, &addresses, Reconnect::Always)
            }
            LoadBalancing::RingHash(config) => {
                state.ring = Some(Arc::new(Ring::new(&addresses, config)));
                self.one_for_each(&before, &addresses, Reconnect::OnDemand)
            }
        };
        // Before there is a connection that it decides about.
        self.check_health(state);
        let deadline = self.deadline_of_connecting(state);
        state.arranged = true;
        // One of a ring connects when a call comes to it.
        if state.ring.is_none() {
            let begins = state.subchannels.iter();
            let begins = begins.filter(|subchannel| subchannel.begins());
            state
                .begins
                .extend(begins.map(|subchannel| (Arc::clone(subchannel), deadline)));
        }
    }

    fn one_for_all(
        &self,
        before: Vec<Arc<Subchannel>>,
        addresses: &Arc<[Address]>,
    ) -> Arc<Subchannel> {
        let mut before = before.into_iter();
        let kept = before.find(|subchannel| subchannel.try_move_to(addresses));
        let subchannel =
            kept.unwrap_or_else(|| self.subchannel(Reconnect::OnDemand, Arc::clone(addresses)));
        subchannel.set_reconnect(Reconnect::OnDemand);
        subchannel
    }

    fn one_for_each(
        &self,
        before: &[Arc<Subchannel>],
        addresses: &[Address],
        reconnect: Reconnect,
    ) -> Vec<Arc<Subchannel>> {
        let subchannels = addresses.iter().map(|address| {
            let mut before = before.iter();
            let subchannel = match before.find(|subchannel| subchannel.leads_to(address)) {
                Some(subchannel) => Arc::clone(subchannel),
                None => self.subchannel(reconnect, Arc::new([address.clone()])),
            };
            subchannel.set_reconnect(reconnect);
            subchannel
        });
        subchannels.collect()
    }

    /// Until when connections to new addresses have to be there. Finding the first addresses is part of the budget.
    fn deadline_of_connecting(&self, state: &State) -> Instant {
        let now = Instant::now();
        let begun = state.active.filter(|_| !state.arranged);
        let first = begun.map(|begun| begun + self.connector.timeout);
        // What is left of a budget that is used up is none: addresses that are found late have one of their own.
        let first = first.filter(|deadline| *deadline > now);
        first.unwrap_or(now + self.connector.timeout)
    }

    fn subchannel(&self, reconnect: Reconnect, addresses: Arc<[Address]>) -> Arc<Subchannel> {
        Arc::new(Subchannel::new(
            Weak::clone(&self.me),
            Arc::clone(&self.connector),
            self.pool,
            reconnect,
            addresses,
            self.breaker.clone(),
        ))
    }
}

fn shuffled(addresses: &[Address]) -> Arc<[Address]> {
    let mut shuffled: Arc<[Address]> = addresses.into();
    fastrand::shuffle(Arc::make_mut(&mut shuffled));
    shuffled
}
