//! Which calls are served, which wait, and which are refused.
//!
//! A call is let in when its head has come in, before a task is made for it: what waits for its first turn on the runtime is
//! counted and measured with the rest. A call that is refused costs its head and the head of its answer.

mod gate;
mod gradient;
mod limits;
mod line;
mod options;
mod place;
mod rate;
mod refusal;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use tonic::Status;

use super::refusals::Limit;

pub use self::limits::{AdaptiveLimit, Limits, Queue, RateLimit};
pub(super) use self::options::AdmissionOptions;
pub(super) use self::place::{Measured, Place, Uploading};
pub(crate) use self::refusal::Reason;
pub(super) use self::refusal::{Refusal, Whose};
use self::{
    gate::{Entered, Gate, Ticket},
    rate::Bucket,
};

/// The limits of a server, and what is under way of each.
#[derive(Debug)]
pub(super) struct Admission {
    server: Arc<Checks>,
    methods: HashMap<Arc<str>, Arc<Checks>>,
    exempt: Vec<String>,
}

/// What a call goes through, in this order: those of its method before those of the server, so that a method over its limits
/// takes nothing from others.
#[derive(Clone, Debug, Default)]
struct Checks {
    buckets: Vec<Arc<Bucket>>,
    gates: Vec<Arc<Gate>>,
    /// How many of either are the method's.
    own_buckets: usize,
    own_gates: usize,
}

impl Checks {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for limits that are not valid.
    fn of(name: &str, limits: &Limits) -> Result<Self, Status> {
        limits
            .validate()
            .map_err(|invalid| Status::invalid_argument(format!("limits of {name}: {invalid}")))?;
        let fixed = limits.max_concurrent_calls;
        let fixed = fixed.map(|limit| Gate::fixed(limit, limits.queue));
        let adaptive = limits.adaptive;
        let adaptive = adaptive.map(|bounds| Gate::adaptive(bounds, limits.queue));
        Ok(Self {
            buckets: limits
                .rate
                .map(Bucket::new)
                .map(Arc::new)
                .into_iter()
                .collect(),
            gates: fixed.into_iter().chain(adaptive).collect(),
            ..Self::default()
        })
    }

    fn before(mut self, others: &Self) -> Self {
        (self.own_buckets, self.own_gates) = (self.buckets.len(), self.gates.len());
        self.buckets.extend_from_slice(&others.buckets);
        self.gates.extend_from_slice(&others.gates);
        self
    }

    fn are_none(&self) -> bool {
        self.buckets.is_empty() && self.gates.is_empty()
    }

    /// Whoever is refused, by a bucket or a gate, leaves the tokens that it took to others.
    fn enter(self: &Arc<Self>) -> Result<Entry, Refusal> {
        for (taken, bucket) in self.buckets.iter().enumerate() {
            if let Err(wait) = bucket.take() {
                give_back(&self.buckets[..taken]);
                let whose = Whose::of(taken, self.own_buckets);
                return Err(Refusal::after(Reason::Rate, whose, wait));
            }
        }
        let entry = self.enter_from(0, Place::default());
        if entry.is_err() {
            give_back(&self.buckets);
        }
        entry
    }

    /// Goes on at a gate, with what was got at those before it.
    fn enter_from(self: &Arc<Self>, first: usize, mut place: Place) -> Result<Entry, Refusal> {
        for (index, gate) in self.gates.iter().enumerate().skip(first) {
            match gate.enter() {
                Entered::In(permit) => place.hold(permit),
                Entered::Waits(ticket) => {
                    return Ok(Entry::Waits(Box::new(Waiting {
                        tokens: Tokens {
                            checks: Arc::clone(self),
                            are_spent: false,
                        },
                        index,
                        place,
                        ticket,
                    })));
                }
                Entered::Full => {
                    let whose = Whose::of(index, self.own_gates);
                    return Err(Refusal::after(gate.reason(), whose, gate.pushback()));
                }
            }
        }
        Ok(Entry::In(place))
    }
}

fn give_back(buckets: &[Arc<Bucket>]) {
    buckets.iter().for_each(|bucket| bucket.give_back());
}

/// Those of a call that waits, which leaves them to others where it never has its turn: it does not begin.
#[derive(Debug)]
struct Tokens {
    checks: Arc<Checks>,
    are_spent: bool,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        if !self.are_spent {
            give_back(&self.checks.buckets);
        }
    }
}

/// How a call is received.
#[derive(Debug)]
pub(super) enum Entry {
    In(Place),
    /// A limit is reached, and it may wait.
    Waits(Box<Waiting>),
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    tokens: Tokens,
    /// The gate at which it does.
    index: usize,
    place: Place,
    ticket: Ticket,
}

impl Waiting {
    /// Waits for the call's turn at each gate that is full; dropped, it gives up its place in the line.
    pub(super) async fn place(mut self: Box<Self>) -> Result<Place, Refusal> {
        loop {
            let Some(permit) = self.ticket.turn().await else {
                let pushback = self.ticket.gate().pushback();
                let whose = Whose::of(self.index, self.tokens.checks.own_gates);
                return Err(Refusal::after(Reason::WaitedTooLong, whose, pushback));
            };
            self.place.hold(permit);
            let Self {
                mut tokens,
                index,
                place,
                ..
            } = *self;
            let entry = tokens.checks.enter_from(index + 1, place)?;
            // By the call, or by what of it waits at the next gate.
            tokens.are_spent = true;
            match entry {
                Entry::In(place) => return Ok(place),
                Entry::Waits(waiting) => self = waiting,
            }
        }
    }
}

impl Admission {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for limits that are not valid; the message says whose.
    pub(super) fn new(options: &AdmissionOptions) -> Result<Self, Status> {
        let server = Checks::of("the server", &options.limits)?;
        let methods = options.methods.iter().map(|(name, limits)| {
            let checks = Checks::of(name, limits)?.before(&server);
            Ok((name.as_str().into(), Arc::new(checks)))
        });
        Ok(Self {
            methods: methods.collect::<Result<_, Status>>()?,
            server: Arc::new(server),
            exempt: options.exempt.clone(),
        })
    }

    /// Receives a call by its path.
    ///
    /// A method that is not served counts as any other of its service or of the server: authenticators and interceptors are
    /// asked before it is found that nobody serves it, and a made-up name must not be a way to have them work without limits.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub(super) fn receive(&self, path: &str) -> Result<Entry, Refusal> {
        if self.server.are_none() && self.methods.is_empty() {
            return Ok(Entry::In(Place::default()));
        }
        self.enter(path.strip_prefix('/').unwrap_or(path))
    }

    /// The limit that refused a call of `path` for this `reason`, if it was one.
    pub(super) fn limit(&self, reason: Reason, whose: Option<Whose>, path: &str) -> Option<Limit> {
        let (setting, whose) = reason.limit().zip(whose)?;
        let method = path.strip_prefix('/').unwrap_or(path);
        let of = match whose {
            Whose::Server => None,
            Whose::Method => self.named(method).map(|(name, _)| Arc::clone(name)),
        };
        Some(Limit { setting, of })
    }

    /// Receives a call of `method` (`package.Service/Method`).
    fn enter(&self, method: &str) -> Result<Entry, Refusal> {
        let service = service_of(method);
        let is_exempt = |name: &String| name == service || name == method;
        if self.exempt.iter().any(is_exempt) {
            return Ok(Entry::In(Place::default()));
        }
        let named = self.named(method).map(|(_, checks)| checks);
        named.unwrap_or(&self.server).enter()
    }

    /// What is set for a method or its service.
    fn named(&self, method: &str) -> Option<(&Arc<str>, &Arc<Checks>)> {
        if self.methods.is_empty() {
            return None;
        }
        let named = |name| self.methods.get_key_value(name);
        named(method).or_else(|| named(service_of(method)))
    }
}

fn service_of(method: &str) -> &str {
    method.rsplit_once('/').map_or(method, |(name, _)| name)
}
