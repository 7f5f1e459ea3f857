//! The connections to one server, or to the first of several addresses that answers.

mod connecting;
mod health;
mod owner;
mod upkeep;

use std::sync::{Arc, Mutex, Weak};

use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

pub(super) use self::owner::Owner;
use self::{connecting::Connecting, health::HealthCheck};
use super::{
    address::Address,
    breaker::{Admission, Breaker, Circuits},
    connection::{Connection, Opened},
    connector::Connector,
    core::Core,
    outcome::Tally,
    outliers::{Ejection, Host},
    streams::Turns,
};

/// How many connections a subchannel has.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolSize {
    /// So many, as long as it has any.
    pub(super) min: usize,
    /// Up to so many, where the streams of all others are in use.
    pub(super) max: usize,
}

/// Whether a subchannel reconnects without a call that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reconnect {
    Always,
    OnDemand,
}

/// gRPC's connectivity state of a subchannel.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Idle,
    Connecting,
    Ready,
    /// Until a connection is made, however many attempts that takes.
    TransientFailure(Arc<Status>),
}

/// Connections to a server, made when asked for, and again when they are lost.
#[derive(Debug)]
pub(super) struct Subchannel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    core: Weak<Core>,
    connector: Arc<Connector>,
    pool: PoolSize,
    turns: Arc<Turns>,
    tally: Arc<Tally>,
    circuits: Option<Circuits>,
    state: Mutex<State>,
    /// Tells the task that a connection was lost, or another is wanted.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    addresses: Arc<[Address]>,
    reconnect: Reconnect,
    condition: Condition,
    open: Vec<Opened>,
    /// When the first of the open connections was made, and the calls that had been started by then.
    since: Instant,
    started: usize,
    /// Whether no connection could be made since there was one, or ever.
    is_new: bool,
    /// Since when there have been connections without a failure to make one between them.
    serving_since: Instant,
    /// How the last of the open connections was lost, until the task knows.
    lost: Option<Lost>,
    /// The number of the task that makes connections, and whether it does.
    number: usize,
    has_task: bool,
    task: Option<AbortOnDropHandle<()>>,
    /// Where that task runs.
    runtime: Option<Handle>,
    /// Nobody has use for connections any more.
    closed: bool,
    health: HealthCheck,
    ejection: Ejection,
}

#[derive(Clone, Copy, Debug)]
enum Lost {
    /// After it had carried calls.
    InUse,
    Unused,
    /// Before it could.
    AtOnce,
}

/// The circuit of a method is open.
#[derive(Debug)]
pub(super) struct Refused;

impl Subchannel {
    pub(super) fn new(
        core: Weak<Core>,
        connector: Arc<Connector>,
        pool: PoolSize,
        reconnect: Reconnect,
        addresses: Arc<[Address]>,
        breaker: Option<Arc<Breaker>>,
    ) -> Self {
        let state = State {
            addresses,
            reconnect,
            condition: Condition::Idle,
            open: Vec::new(),
            since: Instant::now(),
            started: 0,
            is_new: true,
            serving_since: Instant::now(),
            lost: None,
            number: 0,
            has_task: false,
            task: None,
            runtime: None,
            closed: false,
            health: HealthCheck::default(),
            ejection: Ejection::default(),
        };
        let shared = Shared {
            core,
            connector,
            pool,
            turns: Arc::new(Turns::new()),
            tally: Arc::default(),
            circuits: breaker.map(Circuits::new),
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Its condition; where its health is checked, it is ready only while its service is served. While it is ejected, it is
    /// as one that cannot be connected to.
    pub(super) fn condition(&self) -> Condition {
        let state = self.shared.lock();
        match &state.condition {
            _ if state.ejection.since.is_some() => Condition::TransientFailure(Arc::new(ejected())),
            Condition::Ready => state.health.condition(),
            condition => condition.clone(),
        }
    }

    /// Has the health of `service` decide whether calls come here; `None` lets all come.
    pub(super) fn check_health(&self, service: Option<Arc<str>>) {
        let mut state = self.shared.lock();
        if state.health.set_service(service) && matches!(state.condition, Condition::Ready) {
            self.shared.begin_health_check(&mut state);
        }
    }

    /// What counts the attempts on it.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.shared.tally
    }

    /// Whether it can be that some attempts are not let through.
    pub(super) fn may_refuse(&self) -> bool {
        let circuits = self.shared.circuits.as_ref();
        circuits.is_some_and(Circuits::may_refuse)
    }

    /// Whether an attempt at `method` would be let through.
    pub(super) fn admits(&self, method: &str) -> bool {
        let circuits = self.shared.circuits.as_ref();
        circuits.is_none_or(|circuits| circuits.admits(method))
    }

    /// Lets an attempt at `method` through, with what is to be told of its end, where it wants to know.
    pub(super) fn admit(&self, method: &str) -> Result<Option<Admission>, Refused> {
        match &self.shared.circuits {
            Some(circuits) => circuits.admit(method).map(Some).ok_or(Refused),
            None => Ok(None),
        }
    }

    /// Its attempts since the last time that this was asked, and whether it is ejected.
    pub(super) fn take_host(&self) -> Host {
        let (successes, failures) = self.shared.tally.take();
        Host {
            successes,
            failures,
            ejection: self.shared.lock().ejection,
        }
    }

    /// Ejects it, or takes it back; gives whether that is news.
    pub(super) fn set_ejection(&self, ejection: Ejection) -> bool {
        let mut state = self.shared.lock();
        let before = std::mem::replace(&mut state.ejection, ejection);
        before.since.is_some() != ejection.since.is_some()
    }

    /// Takes other addresses, if they are the same in another order, if all connections there are lead to one of them, or if
    /// none is wanted yet.
    pub(super) fn try_move_to(&self, addresses: &Arc<[Address]>) -> bool {
        let mut state = self.shared.lock();
        let is_known = |address: &Address| {
            let mut known = state.addresses.iter();
            known.any(|known| known.is_same_place(address))
        };
        let same = addresses.len() == state.addresses.len() && addresses.iter().all(is_known);
        let stays = match state.condition {
            _ if same => true,
            Condition::Idle => true,
            Condition::Ready => {
                let mut open = state.open.iter();
                open.all(|opened| {
                    let mut addresses = addresses.iter();
                    addresses.any(|address| address.is_same_place(&opened.address))
                })
            }
            Condition::Connecting | Condition::TransientFailure(_) => false,
        };
        if stays {
            state.addresses = Arc::clone(addresses);
        }
        stays
    }

    /// Whether it leads to this place, and nowhere else.
    pub(super) fn leads_to(&self, address: &Address) -> bool {
        let state = self.shared.lock();
        matches!(&*state.addresses, [only] if only.is_same_place(address))
    }

    pub(super) fn set_reconnect(&self, reconnect: Reconnect) {
        self.shared.lock().reconnect = reconnect;
    }

    /// Since when its servers have served without a break, as far as can be seen from here.
    pub(super) fn serving_since(&self) -> Instant {
        self.shared.lock().serving_since
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    /// Whether it connects without a call, unlike one that has gone idle and waits for one.
    pub(super) fn begins(&self) -> bool {
        let state = self.shared.lock();
        state.number == 0 || state.reconnect == Reconnect::Always
    }

    /// Makes connections from now on, if it is idle. `deadline` bounds the first attempt.
    ///
    /// Not to be called with the core's lock held: a runtime that is ending drops its task at once.
    pub(super) fn connect(&self, deadline: Instant, runtime: &Handle) {
        let mut state = self.shared.lock();
        if !matches!(state.condition, Condition::Idle) {
            return;
        }
        state.condition = Condition::Connecting;
        state.number += 1;
        state.has_task = true;
        state.runtime = Some(runtime.clone());
        let number = state.number;
        drop(state);
        let connecting = Connecting {
            shared: Arc::clone(&self.shared),
            number,
        };
        let task = runtime.spawn(connecting.run(deadline));
        let task = AbortOnDropHandle::new(task);
        let mut state = self.shared.lock();
        if state.number == number {
            state.task = Some(task);
        }
    }

    /// A connection with room for a stream, if there is one now.
    pub(super) fn try_open(&self) -> Option<Connection> {
        let turn = self.shared.turns.try_take()?;
        self.shared.open(turn)
    }

    /// A connection with room for a stream; waits for room. To be dropped where the subchannel is no longer ready.
    pub(super) async fn open(&self) -> Connection {
        let shared = &self.shared;
        let waiting = shared.turns.wait();
        let connection = loop {
            shared.want_room();
            let turn = shared.turns.take().await;
            if let Some(connection) = shared.open(turn) {
                break connection;
            }
            tokio::task::yield_now().await;
        };
        drop(waiting);
        if shared.turns.are_awaited() {
            // This may have been the last room there was.
            shared.changed.notify_one();
        }
        connection
    }
}

impl Drop for Subchannel {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // The task may be about to add one more.
        state.closed = true;
        state.health.stop();
        let task = state.task.take();
        let open = std::mem::take(&mut state.open);
        drop(state);
        drop(task);
        open.iter().for_each(|opened| opened.streams.close());
    }
}

fn ejected() -> Status {
    Status::unavailable("the address is left out for a while: its calls failed more than others'")
}
