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

/// How long a resolver that ended without an answer is left alone.
const RESOLVER_REST: Duration = Duration::from_secs(1);

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
    /// The number of that resolver's run, and when it began.
    run: usize,
    resolving_since: Option<Instant>,
    /// Where the channel was woken up: what is begun outside any runtime begins there.
    runtime: Option<Handle>,
    idling: Option<AbortOnDropHandle<()>>,
    addresses: Arc<[Address]>,
    /// Why there are no addresses.
    failure: Option<Arc<Status>>,
    subchannels: Vec<Arc<Subchannel>>,
    /// What is to connect by then, once the lock is released.
    begins: Vec<(Arc<Subchannel>, Instant)>,
    /// Whether there have been subchannels since the channel was woken up.
    arranged: bool,
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
            run: 0,
            resolving_since: None,
            runtime: None,
            idling: None,
            addresses: Arc::default(),
            failure: None,
            subchannels: Vec::new(),
            begins: Vec::new(),
            arranged: false,
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
                self.connect(&[connect]);
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
                Pick::Connect(subchannels) => self.connect(&subchannels),
                Pick::OpenAndConnect { .. } => {}
                Pick::Fail(status) => {
                    let lacks_resolver = self.resolve_anew();
                    if !request.wait_for_ready {
                        return Err(Unpicked::Failed(status::copy(&status)));
                    }
                    if lacks_resolver {
                        let _ = tokio::time::timeout(RESOLVER_REST, pickers.changed()).await;
                        continue;
                    }
                }
                Pick::Drop(status) => return Err(Unpicked::Dropped(status)),
                Pick::Wait => {}
            }
            // The sender is here: it cannot be gone.
            let _ = pickers.changed().await;
        }
    }

    fn connect(&self, subchannels: &[Arc<Subchannel>]) {
        let runtime = Handle::current();
        for subchannel in subchannels {
            subchannel.connect(Instant::now() + self.connector.timeout, &runtime);
        }
        let mut state = self.lock();
        let idling = state.idling.as_ref();
        if idling.is_some_and(AbortOnDropHandle::is_finished) {
            // It ended with the runtime that the channel was woken up on.
            state.idling = self.begin_idling();
        }
        self.settle(state);
    }

    fn begin_idling(&self) -> Option<AbortOnDropHandle<()>> {
        let timeout = self.idle_timeout?;
        let idling = idle_after(Weak::clone(&self.me), timeout);
        Some(AbortOnDropHandle::new(tokio::spawn(idling)))
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
            state.runtime = Some(Handle::current());
            state.idling = self.begin_idling();
            self.publish(&mut state);
            self.resolve(state);
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
        state.arranged = false;
        state.outliers = None;
        self.publish(&mut state);
        ControlFlow::Break(())
    }

    /// Runs the resolver, without the lock: a runtime that is ending drops what it is given at once.
    fn resolve(&self, mut state: MutexGuard<'_, State>) {
        state.run += 1;
        state.resolving_since = Some(Instant::now());
        let number = state.run;
        let runtime = runtime(&state);
        drop(state);
        let Some(runtime) = runtime else {
            return;
        };
        let updates = ResolverUpdates::new(Weak::clone(&self.me), Arc::clone(&self.wanted));
        let run = Arc::clone(&self.resolver).run(updates);
        let running = Running {
            core: Weak::clone(&self.me),
            number,
            ended: false,
        };
        let running = async move {
            let mut running = running;
            run.await;
            running.ended = true;
        };
        let running = AbortOnDropHandle::new(runtime.spawn(running.in_current_span()));
        let mut state = self.lock();
        if state.run == number {
            state.resolver = Some(running);
        }
    }

    /// A run of the resolver is over: calls are not to wait for an answer that it did not give.
    fn resolver_is_over(&self, run: &Running) {
        let mut state = self.lock();
        let unanswered = state.addresses.is_empty() && state.failure.is_none();
        if state.run != run.number || state.active.is_none() || !unanswered {
            return;
        }
        if run.ended || std::thread::panicking() {
            let target = &self.connector.target;
            let message = format!("could not resolve {target}: its resolver gave no answer");
            state.failure = Some(Arc::new(Status::unavailable(message)));
        } else {
            // Its runtime has ended: the next call begins anew, on another.
            state.active = None;
        }
        self.publish(&mut state);
    }

    /// Runs the resolver again where it has ended without any address, but not at once; gives whether that is so.
    fn resolve_anew(&self) -> bool {
        let state = self.lock();
        let ended = state.resolver.as_ref();
        let ended = ended.is_none_or(AbortOnDropHandle::is_finished);
        let lacks = state.active.is_some() && state.addresses.is_empty() && ended;
        let rested = |since: Instant| since.elapsed() >= RESOLVER_REST;
        if lacks && state.resolving_since.is_none_or(rested) {
            self.resolve(state);
        }
        lacks
    }

    /// Has the resolver look again: a connection was lost, or could not be made.
    pub(super) fn resolve_again(&self) {
        self.wanted.notify_one();
        let state = self.lock();
        let ended = state.resolver.as_ref();
        if ended.is_some_and(AbortOnDropHandle::is_finished) && Handle::try_current().is_ok() {
            self.resolve(state);
        }
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
                    // It may have come with them.
                    state.policy = policy(&self.config, &self.default_policy);
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
        self.settle(state);
    }

    /// Follows a change of the service config.
    pub(super) fn reconfigured(&self) {
        let mut state = self.lock();
        self.follow_config(&mut state);
        self.settle(state);
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
        begun.unwrap_or(now) + self.connector.timeout
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
        self.settle(self.lock());
    }

    /// The same, and begins nothing: of what ends with its runtime.
    pub(super) fn show(&self) {
        let mut state = self.lock();
        self.publish(&mut state);
        state.begins.clear();
    }

    /// Begins what there is to begin, and publishes what has become of the state. Nothing is begun with the lock held: a
    /// runtime that is ending drops what it is given at once, and that looks at the state.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        if state.begins.is_empty() {
            self.publish(&mut state);
        }
        let begins = std::mem::take(&mut state.begins);
        if begins.is_empty() {
            return;
        }
        let runtime = runtime(&state);
        drop(state);
        if let Some(runtime) = runtime {
            for (subchannel, deadline) in begins {
                subchannel.connect(deadline, &runtime);
            }
        }
        self.show();
    }

    fn publish(&self, state: &mut State) {
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

    fn picker_over(&self, state: &mut State) -> Picker {
        let Some(ring) = &state.ring else {
            return Picker::new(&state.policy, &state.subchannels);
        };
        let picker = Picker::by_hash(ring, &state.subchannels);
        if let Some(subchannel) = picker.to_connect() {
            let deadline = Instant::now() + self.connector.timeout;
            state.begins.push((Arc::clone(subchannel), deadline));
        }
        picker
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run of a channel's resolver, which may end with its runtime.
struct Running {
    core: Weak<Core>,
    number: usize,
    /// Whether it ended by itself.
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.resolver_is_over(self);
        }
    }
}

/// Where something can be begun.
fn runtime(state: &State) -> Option<Handle> {
    Handle::try_current().ok().or_else(|| state.runtime.clone())
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
