//! What is said of the health of services, and by whom.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::server::Service;

/// The name that stands for the server as a whole.
const OVERALL: &str = "";

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingStatus {
    /// Nobody knows.
    Unknown = 0,
    /// It answers calls.
    Serving = 1,
    /// It does not, or will not soon.
    NotServing = 2,
}

/// Says how the services of a server are; clones speak for the same services, and so may several servers.
///
/// A service that a server has is SERVING until something else is said. The server as a whole, which is what a probe asks
/// for that names no service (`""`), is NOT_SERVING while any service is not SERVING, unless its own status is set. Once the
/// server shuts down, all is NOT_SERVING and stays so.
///
/// ```
/// # struct Greeter;
/// # impl wireloom::server::Service for Greeter {
/// #     const NAME: &'static str = "helloworld.Greeter";
/// #     async fn call(&self, call: wireloom::server::Call) -> wireloom::server::Reply { call.unimplemented() }
/// # }
/// use wireloom::{Server, health::{HealthReporter, ServingStatus}};
///
/// let health = HealthReporter::new();
/// let server = Server::builder().health(health.clone()).add_service(Greeter);
///
/// // Until the database is there.
/// health.set_not_serving::<Greeter>();
/// assert_eq!(health.status(""), Some(ServingStatus::NotServing));
/// ```
#[derive(Clone, Debug)]
pub struct HealthReporter {
    statuses: Arc<watch::Sender<Arc<Statuses>>>,
}

/// What is said of all services at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statuses {
    services: BTreeMap<String, ServingStatus>,
    overall: Option<ServingStatus>,
    is_shut_down: bool,
}

impl Default for HealthReporter {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthReporter {
    /// Knows no services yet: [`Server::health`](crate::Server::health) tells it of a server's.
    pub fn new() -> Self {
        Self {
            statuses: Arc::new(watch::Sender::default()),
        }
    }

    /// Says that `S` is SERVING.
    pub fn set_serving<S: Service>(&self) {
        self.set_status(S::NAME, ServingStatus::Serving);
    }

    /// Says that `S` is NOT_SERVING.
    pub fn set_not_serving<S: Service>(&self) {
        self.set_status(S::NAME, ServingStatus::NotServing);
    }

    /// Says how `service` is, by its name on the wire (`helloworld.Greeter`); `""` is the server as a whole.
    ///
    /// Any name will do, so that what is no service can be asked after, such as a part of one. After a shutdown nothing
    /// changes any more.
    pub fn set_status(&self, service: &str, status: ServingStatus) {
        self.change(|statuses| match service {
            OVERALL => statuses.overall = Some(status),
            _ => drop(statuses.services.insert(service.to_owned(), status)),
        });
    }

    /// Says nothing of `service` any more: whoever asks is told that it is unknown. The server as a whole follows its
    /// services again.
    pub fn clear_status(&self, service: &str) {
        self.change(|statuses| match service {
            OVERALL => statuses.overall = None,
            _ => drop(statuses.services.remove(service)),
        });
    }

    /// What is said of `service`; `None` of one that is unknown.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.statuses.borrow().of(service)
    }

    /// Says that all is NOT_SERVING, for ever. A server that shuts down does so itself, first of all.
    pub fn shut_down(&self) {
        self.change(|statuses| statuses.is_shut_down = true);
    }

    /// Says of a server's service that it is SERVING, unless something was said already.
    pub(crate) fn register(&self, service: &str) {
        self.change(|statuses| {
            let status = statuses.services.entry(service.to_owned());
            status.or_insert(ServingStatus::Serving);
        });
    }

    pub(super) fn now(&self) -> Arc<Statuses> {
        Arc::clone(&self.statuses.borrow())
    }

    pub(super) fn changes(&self) -> watch::Receiver<Arc<Statuses>> {
        self.statuses.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Statuses)) {
        self.statuses.send_if_modified(|statuses| {
            if statuses.is_shut_down {
                return false;
            }
            let mut changed = Statuses::clone(statuses);
            change(&mut changed);
            let differs = changed != **statuses;
            if differs {
                *statuses = Arc::new(changed);
            }
            differs
        });
    }
}

impl Statuses {
    pub(super) fn of(&self, service: &str) -> Option<ServingStatus> {
        let status = match service {
            OVERALL => Some(self.overall()),
            _ => self.services.get(service).copied(),
        };
        status.map(|status| self.unless_shut_down(status))
    }

    /// All names and how they are, the server as a whole first.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, ServingStatus)> {
        let services = self
            .services
            .iter()
            .map(|(name, status)| (name.as_str(), *status));
        std::iter::once((OVERALL, self.overall()))
            .chain(services)
            .map(|(name, status)| (name, self.unless_shut_down(status)))
    }

    fn overall(&self) -> ServingStatus {
        let all_serve = || {
            self.services
                .values()
                .all(|status| *status == ServingStatus::Serving)
        };
        match self.overall {
            Some(status) => status,
            None if all_serve() => ServingStatus::Serving,
            None => ServingStatus::NotServing,
        }
    }

    fn unless_shut_down(&self, status: ServingStatus) -> ServingStatus {
        match self.is_shut_down {
            true => ServingStatus::NotServing,
            false => status,
        }
    }
}
