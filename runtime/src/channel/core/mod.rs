//! What all handles of a channel share: the addresses of its target, its subchannels, and the picker over them.

mod arranging;
mod idling;
mod resolving;

use std::{
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

use self::resolving::RESOLVER_REST;
use super::{
    active_config::ConfigSlot,
    address::Address,
    balancer::{Pick, Picker, Ring},
    breaker::Breaker,
    connection::Connection,
    connector::Connector,
    outcome::Outcome,
    outliers::Outliers,
    pick_request::{PickRequest, Unpicked},
    resolver::ErasedResolver,
    state::{ConnectivityState, StateWatch},
    subchannel::{PoolSize, Refused, Subchannel},
};
use crate::{
    policy::{CircuitBreaker, LoadBalancing, OutlierDetection},
    status,
};

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
        // So may have who compares the addresses.
        self.detect_outliers(&mut state);
        self.settle(state);
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

/// Where something can be begun.
fn runtime(state: &State) -> Option<Handle> {
    Handle::try_current().ok().or_else(|| state.runtime.clone())
}

fn policy(config: &ConfigSlot, default: &LoadBalancing) -> LoadBalancing {
    let active = config.current();
    let configured = active.config.load_balancing();
    match configured {
        Some(configured) => LoadBalancing::configured(configured, default),
        None => default.clone(),
    }
}
