//! What all handles of a channel share: the addresses of its target, its subchannels, and the picker over them.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tracing::Instrument as _;

use super::{
    active_config::ConfigSlot,
    address::Address,
    balancer::{Pick, Picker, Ring},
    breaker::Breaker,
    connection::Connection,
    connector::Connector,
    outcome::Outcome,
    outliers::{Ejection, Outliers, compare},
    pick_request::{PickRequest, Unpicked},
    resolver::{ErasedResolver, Resolution, ResolverUpdates},
    state::{ConnectivityState, StateWatch},
    subchannel::{PoolSize, Reconnect, Refused, Subchannel},
};
use crate::{
    policy::{CircuitBreaker, LoadBalancing, OutlierDetection},
    status,
};

/// How often in an idle timeout a channel looks whether it is in use.
const IDLE_CHECKS: u32 = 4;

#[derive(Debug)]
pub(super) struct Core {
    me: Weak<Self>,
    connector: Arc<Connector>,
    resolver: Arc<dyn ErasedResolver>,
    pool: PoolSize,
    /// What balances where the service config names nothing.
    default_policy: LoadBalancing,
    /// The service whose health is checked where the service config names none.
    default_health_check: Option<Arc<str>>,
    /// What compares addresses where the service config says nothing of it.
    default_outlier_detection: Option<OutlierDetection>,
    breaker: Option<Arc<Breaker>>,
    /// Whether addresses are compared, by what attempts on them came to.
    tells: AtomicBool,
    idle_timeout: Option<Duration>,
    pub(super) config: ConfigSlot,
    /// Counts those who asked for a connection.
    picks: AtomicUsize,
    state: Mutex<State>,
    picker: watch::Sender<Picker>,
    connectivity: watch::Sender<ConnectivityState>,
    wanted: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    policy: LoadBalancing,
    /// Since when the channel has been finding addresses and making connections; `None` while nobody has asked.
    active: Option<Instant>,
    resolver: Option<AbortOnDropHandle<()>>,
    idling: Option<AbortOnDropHandle<()>>,
    addresses: Arc<[Address]>,
    /// Why there are no addresses.
    failure: Option<Arc<Status>>,
    subchannels: Vec<Arc<Subchannel>>,
    /// Where the policy is `ring_hash`: the ring of the addresses.
    ring: Option<Arc<Ring>>,
    outliers: Option<Outliers>,
}

/// What a [`Core`] is made of.
pub(super) struct Parts {
    pub(super) connector: Connector,
    pub(super) resolver: Arc<dyn ErasedResolver>,
    pub(super) pool: PoolSize,
    pub(super) default_policy: LoadBalancing,
    pub(super) health_check: Option<Arc<str>>,
    pub(super) outlier_detection: Option<OutlierDetection>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) config: ConfigSlot,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let state = State {
            policy: policy(&parts.config, &parts.default_policy),
            active: None,
            resolver: None,
            idling: None,
            addresses: Arc::default(),
            failure: None,
            subchannels: Vec::new(),
            ring: None,
            outliers: None,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            connector: Arc::new(parts.connector),
            resolver: parts.resolver,
            pool: parts.pool,
            default_policy: parts.default_policy,
            default_health_check: parts.health_check,
            default_outlier_detection: parts.outlier_detection,
            breaker: parts
                .circuit_breaker
                .map(|policy| Arc::new(Breaker::new(policy))),
            tells: AtomicBool::new(false),
            idle_timeout: parts.idle_timeout,
            config: parts.config,
            picks: AtomicUsize::new(0),
            state: Mutex::new(state),
            picker: watch::Sender::new(Picker::Idle),
            connectivity: watch::Sender::new(ConnectivityState::Idle),
            wanted: Arc::new(Notify::new()),
        })
    }

    /// A connection with room for a stream.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE, with the reason, where none can be made.
    pub(super) async fn pick(&self, request: PickRequest<'_>) -> Result<Connection, Unpicked> {
        self.picks.fetch_add(1, Ordering::Relaxed);
        let picked = self.picker.borrow().pick(request);
        if let Pick::Open(subchannel) = picked
            && let Ok(outcome) = self.admit(&subchannel, request.path)
            && let Some(connection) = subchannel.try_open()
        {
            return Ok(connection.telling(outcome));
        }
        let mut pickers = self.picker.subscribe();
        loop {
            let mut picked = pickers.borrow_and_update().pick(request);
            if let Pick::OpenAndConnect { open, connect } = picked {
                self.connect(&connect);
                picked = Pick::Open(open);
            }
            match picked {
                Pick::Open(subchannel) => {
                    // Since it was chosen its circuit may have let the last attempt through.
                    let Ok(outcome) = self.admit(&subchannel, request.path) else {
                        continue;
                    };
                    tokio::select! {
                        connection = subchannel.open() => return Ok(connection.telling(outcome)),
                        _ = pickers.changed() => continue,
                    }
                }
                Pick::Activate => self.activate(),
                Pick::Connect(subchannel) => self.connect(&subchannel),
                Pick::OpenAndConnect { .. } => {}
                Pick::Fail(status) if !request.wait_for_ready => {
                    return Err(Unpicked::Failed(status::copy(&status)));
                }
                Pick::Drop(status) => return Err(Unpicked::Dropped(status)),
                Pick::Fail(_) | Pick::Wait => {}
            }
            // The sender is here: it cannot be gone.
            let _ = pickers.changed().await;
        }
    }

    fn connect(&self, subchannel: &Subchannel) {
        subchannel.connect(Instant::now() + self.connector.timeout);
        self.refresh();
    }

    /// Lets an attempt at `method` through to `subchannel`; gives what it tells of its end, where anybody wants to know.
    fn admit(&self, subchannel: &Subchannel, method: &str) -> Result<Option<Outcome>, Refused> {
        let admission = subchannel.admit(method)?;
        let tells = self.tells.load(Ordering::Relaxed);
        let tally = tells.then(|| Arc::clone(subchannel.tally()));
        let is_told = tally.is_some() || admission.is_some();
        Ok(is_told.then_some(Outcome { tally, admission }))
    }

    pub(super) fn watch_state(&self) -> StateWatch {
        StateWatch::new(self.connectivity.subscribe(), Weak::clone(&self.me))
    }

    /// Begins to find addresses and to make connections.
    pub(super) fn activate(&self) {
        let mut state = self.lock();
        if state.active.is_none() {
            state.active = Some(Instant::now());
            self.resolve(&mut state);
            let idling = self.idle_timeout.map(|timeout| {
                let idling = idle_after(Weak::clone(&self.me), timeout);
                AbortOnDropHandle::new(tokio::spawn(idling))
            });
            state.idling = idling;
            self.publish(&state);
        }
    }

    /// Gives up all connections until there is another call, if there has been none since there were `picks`; gives how many
    /// there are now.
    fn go_idle(&self, picks: usize) -> ControlFlow<(), usize> {
        let now = self.picks.load(Ordering::Relaxed);
        let mut state = self.lock();
        let mut subchannels = state.subchannels.iter();
        let in_use = self.picker.receiver_count() > 0
            || subchannels.any(|subchannel| subchannel.turns().in_flight() > 0);
        if now != picks || in_use {
            return ControlFlow::Continue(now);
        }
        state.active = None;
        state.resolver = None;
        state.addresses = Arc::default();
        state.failure = None;
        state.subchannels.clear();
        state.outliers = None;
        self.publish(&state);
        ControlFlow::Break(())
    }

    fn resolve(&self, state: &mut State) {
        let updates = ResolverUpdates::new(Weak::clone(&self.me), Arc::clone(&self.wanted));
        let running = Arc::clone(&self.resolver).run(updates);
        let running = tokio::spawn(running.in_current_span());
        state.resolver = Some(AbortOnDropHandle::new(running));
    }

    /// Has the resolver look again: a connection was lost, or could not be made.
    pub(super) fn resolve_again(&self) {
        let mut state = self.lock();
        let ended = state
            .resolver
            .as_ref()
            .is_some_and(|task| task.is_finished());
        if ended && Handle::try_current().is_ok() {
            self.resolve(&mut state);
        }
        self.wanted.notify_one();
    }

    /// Takes what the resolver has found.
    pub(super) fn resolved(&self, found: Result<Resolution, Status>) {
        let mut found = found.and_then(|found| match found.addresses.as_slice() {
            [] => Err(Status::unavailable("it has no address")),
            _ => Ok(found),
        });
        if let Ok(found) = &mut found
            && let Some(config) = found.service_config.take()
        {
            self.config.update(config);
        }
        let mut state = self.lock();
        if state.active.is_none() {
            // The channel has gone idle meanwhile.
            return;
        }
        match found {
            Ok(found) => {
                state.failure = None;
                let mut addresses = Vec::with_capacity(found.addresses.len());
                for address in found.addresses {
                    address.add_to(&mut addresses);
                }
                if *state.addresses != addresses {
                    state.addresses = addresses.into();
                    self.arrange(&mut state);
                }
            }
            Err(failure) => {
                let target = &self.connector.target;
                let message = format!("could not resolve {target}: {}", failure.message());
                state.failure = Some(Arc::new(status::with_message(&failure, message)));
            }
        }
        self.follow_config(&mut state);
        self.publish(&state);
    }

    /// Follows a change of the service config.
    pub(super) fn reconfigured(&self) {
        let mut state = self.lock();
        self.follow_config(&mut state);
        self.publish(&state);
    }

    fn follow_config(&self, state: &mut State) {
        let policy = policy(&self.config, &self.default_policy);
        if state.policy != policy {
            state.policy = policy;
            self.arrange(state);
        }
        self.check_health(state);
        self.detect_outliers(state);
    }

    /// Has the addresses compared that the policy chooses among, where that is asked for.
    fn detect_outliers(&self, state: &mut State) {
        let active = self.config.current();
        let configured = active.config.outlier_detection().copied();
        let detection = match state.policy {
            LoadBalancing::PickFirst { .. } => None,
            _ => configured.or(self.default_outlier_detection),
        };
        let detection = detection.filter(|detection| detection.ejects() && state.active.is_some());
        let before = state.outliers.as_ref();
        if before.map(|outliers| outliers.detection) == detection {
            return;
        }
        let begun = before.map(|outliers| outliers.since);
        // Without a runtime nobody can compare: what the resolver finds next comes here again.
        let detection = detection.filter(|_| Handle::try_current().is_ok());
        self.tells.store(detection.is_some(), Ordering::Relaxed);
        state.outliers = detection.map(|detection| {
            let since = begun.unwrap_or_else(Instant::now);
            Outliers::begin(Weak::clone(&self.me), detection, since)
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
    pub(super) fn compare_addresses(&self) {
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
        let mut changed = false;
        for (subchannel, host) in subchannels.iter().zip(hosts) {
            changed |= subchannel.set_ejection(host.ejection);
        }
        if changed {
            self.publish(state);
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
    fn arrange(&self, state: &mut State) {
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
        // One of a ring connects when a call comes to it.
        if state.ring.is_none() {
            for subchannel in &state.subchannels {
                subchannel.begin(deadline);
            }
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
        let first = state.active.map(|since| since + self.connector.timeout);
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

    /// Makes the picker anew, from what the subchannels have become.
    pub(super) fn refresh(&self) {
        self.publish(&self.lock());
    }

    fn publish(&self, state: &State) {
        let picker = if state.active.is_none() {
            Picker::Idle
        } else if !state.subchannels.is_empty() {
            self.picker_over(state)
        } else if let Some(failure) = &state.failure {
            Picker::TransientFailure(Arc::clone(failure))
        } else {
            Picker::Connecting
        };
        let connectivity = picker.state();
        self.picker.send_replace(picker);
        self.connectivity.send_if_modified(|current| {
            let changed = *current != connectivity;
            *current = connectivity;
            changed
        });
    }

    fn picker_over(&self, state: &State) -> Picker {
        let Some(ring) = &state.ring else {
            return Picker::new(&state.policy, &state.subchannels);
        };
        let picker = Picker::by_hash(ring, &state.subchannels);
        // A channel that outlives its runtime is told of what ends with it, and can begin nothing any more.
        match picker.to_connect() {
            Some(subchannel) if Handle::try_current().is_ok() => {
                subchannel.connect(Instant::now() + self.connector.timeout);
                Picker::by_hash(ring, &state.subchannels)
            }
            _ => picker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks from time to time whether the channel is in use; once it has not been for `timeout`, it goes idle.
async fn idle_after(core: Weak<Core>, timeout: Duration) {
    let (mut picks, mut unused) = (0, Duration::ZERO);
    let interval = timeout / IDLE_CHECKS;
    loop {
        tokio::time::sleep(interval).await;
        unused += interval;
        let Some(core) = core.upgrade() else {
            return;
        };
        if unused < timeout {
            let now = core.picks.load(Ordering::Relaxed);
            if now != picks {
                (picks, unused) = (now, Duration::ZERO);
            }
            continue;
        }
        match core.go_idle(picks) {
            ControlFlow::Continue(now) => (picks, unused) = (now, Duration::ZERO),
            ControlFlow::Break(()) => return,
        }
    }
}

fn shuffled(addresses: &[Address]) -> Arc<[Address]> {
    let mut shuffled: Arc<[Address]> = addresses.into();
    fastrand::shuffle(Arc::make_mut(&mut shuffled));
    shuffled
}

fn policy(config: &ConfigSlot, default: &LoadBalancing) -> LoadBalancing {
    let active = config.current();
    let configured = active.config.load_balancing();
    match configured {
        Some(configured) => LoadBalancing::configured(configured, default),
        None => default.clone(),
    }
}
