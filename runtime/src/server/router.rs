//! Services by name.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

#[cfg(any(feature = "reflection", feature = "validation"))]
use tonic::Status;

use super::{Call, Reply};
use crate::{
    health::{Health, HealthReporter},
    method::MethodDescriptor,
    suggest,
};

/// What generated code implements: a service that answers calls of its methods.
pub trait Service: Send + Sync + 'static {
    /// Package and name as on the wire (`helloworld.Greeter`).
    const NAME: &'static str;

    /// The descriptors of the service and of all that it names: an encoded `google.protobuf.FileDescriptorSet`, for
    /// reflection and validation. Empty where they are not embedded, which is the default.
    const FILE_DESCRIPTOR_SET: &'static [u8] = &[];

    /// All methods, with what their proto says of them. Empty where the service does not say which it has: while
    /// [authorization](crate::Server::authorization) is in force, it is then declared for the service by name, or nobody may
    /// call it. A service around a generated one hands its own on: else calls of what its proto declares for some are refused.
    const METHODS: &'static [&'static MethodDescriptor] = &[];

    /// Answers one call.
    fn call(&self, call: Call) -> impl Future<Output = Reply> + Send;
}

/// [`Service`] without its types.
trait ErasedService: Send + Sync {
    fn methods(&self) -> &'static [&'static MethodDescriptor];

    #[cfg(any(feature = "reflection", feature = "validation"))]
    fn file_descriptor_set(&self) -> &'static [u8];

    fn call<'a>(&'a self, call: Call) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
}

impl<S: Service> ErasedService for S {
    fn methods(&self) -> &'static [&'static MethodDescriptor] {
        S::METHODS
    }

    #[cfg(any(feature = "reflection", feature = "validation"))]
    fn file_descriptor_set(&self) -> &'static [u8] {
        S::FILE_DESCRIPTOR_SET
    }

    fn call<'a>(&'a self, call: Call) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(Service::call(self, call))
    }
}

/// The services of a server.
#[derive(Clone, Default)]
pub(super) struct Router {
    services: BTreeMap<&'static str, Arc<dyn ErasedService>>,
    #[cfg(feature = "validation")]
    validation: Option<Arc<crate::validation::Validation>>,
}

impl Router {
    pub(super) fn add<S: Service>(&mut self, service: S) {
        self.services.insert(S::NAME, Arc::new(service));
    }

    /// Answers for the health of all services by `reporter`, unless one of them does so already.
    pub(super) fn tell_of_health(&mut self, reporter: &HealthReporter) {
        for name in self
            .services
            .keys()
            .filter(|name| !ASKED_OF_ANY_SERVER.contains(name))
        {
            reporter.register(name);
        }
        let health = || Arc::new(Health::new(reporter.clone()));
        self.services
            .entry(Health::NAME)
            .or_insert_with(|| health());
    }

    /// Answers reflection of all services by their descriptors and those of `more` sets.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set.
    #[cfg(feature = "reflection")]
    pub(super) fn tell_of_services(&mut self, more: &[&'static [u8]]) -> Result<(), Status> {
        let names = self.services.keys().copied();
        let sets = self.descriptor_sets().chain(more.iter().copied());
        let (v1, v1alpha) = crate::reflection::services(names, sets)?;
        self.add(v1);
        self.add(v1alpha);
        Ok(())
    }

    /// Warns where protos have rules for requests, and nothing says whether they are to hold.
    pub(super) fn tell_of_rules(&self) {
        let ruled = self
            .services()
            .filter(|(_, methods)| methods.iter().any(|method| method.has_request_rules()));
        let services: Vec<_> = ruled.map(|(name, _)| name).collect();
        if !services.is_empty() {
            tracing::warn!(
                target: "wireloom",
                services = services.join(", "),
                "requests are not held to the rules of their protos (`buf.validate`, `REQUIRED`): `Server::validation` does so, \
                 with the feature `validation` and embedded descriptors; `Server::without_validation` says that it is meant so"
            );
        }
    }

    /// Holds requests to the rules of their protos, by each service's own descriptors, and by those of `more` sets where it has
    /// none.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set, for a service without descriptors, and for a rule that is wrong.
    #[cfg(feature = "validation")]
    pub(super) fn validate(&mut self, more: &[&'static [u8]]) -> Result<(), Status> {
        let services = self.services.iter();
        let services = services.filter(|(name, _)| !ASKED_OF_ANY_SERVER.contains(name));
        let services = services.map(|(name, service)| (*name, service.file_descriptor_set()));
        let validation = crate::validation::Validation::new(services, more)?;
        self.validation = Some(Arc::new(validation));
        Ok(())
    }

    /// The descriptors of the services, each set once.
    #[cfg(feature = "reflection")]
    fn descriptor_sets(&self) -> impl Iterator<Item = &'static [u8]> {
        let sets = self.services.values();
        let sets = sets.map(|service| service.file_descriptor_set());
        let mut sets: Vec<_> = sets.filter(|set| !set.is_empty()).collect();
        sets.sort_unstable_by_key(|set| set.as_ptr());
        sets.dedup_by_key(|set| set.as_ptr());
        sets.into_iter()
    }

    /// The services by their names, with the methods that they say they have.
    pub(super) fn services(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static [&'static MethodDescriptor])> {
        let services = self.services.iter();
        services.map(|(name, service)| (*name, service.methods()))
    }

    /// The methods that the services say they have.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static MethodDescriptor> {
        self.services()
            .flat_map(|(_, methods)| methods.iter().copied())
    }

    /// Whether `name` is that of a service here, or of a method of one; a service that does not say which methods it has may
    /// have any.
    pub(super) fn serves(&self, name: &str) -> bool {
        let service = name.split_once('/').map_or(name, |(service, _)| service);
        let service = self.services.get(service);
        service
            .map(|service| service.methods())
            .is_some_and(|methods| {
                !name.contains('/')
                    || methods.is_empty()
                    || methods.iter().any(|method| method.full_name() == name)
            })
    }

    /// What to say of a name for which something is set (`what`, as in "limits are"), if it is not one that is served.
    pub(super) fn unknown(&self, name: &str, what: &str) -> Option<String> {
        if self.serves(name) {
            return None;
        }
        let services = || self.services.keys().copied();
        let methods = self.methods().map(MethodDescriptor::full_name);
        let help = match suggest::nearest(name, services().chain(methods)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!(
                "it must be a service that is served, or a method of one as in helloworld.Greeter/SayHello, and these are \
                 served: {}",
                services().collect::<Vec<_>>().join(", ")
            ),
        };
        Some(format!(
            "there is no service or method {name}, for which {what} set: {help}"
        ))
    }

    /// Answers `call` by the service that its path names, unless it is refused.
    pub(super) async fn call(&self, mut call: Call) -> Reply {
        if let Some(reply) = call.parts.early_reply.take() {
            return *reply;
        }
        #[cfg(feature = "validation")]
        if let Some(validation) = &self.validation {
            let rules = validation.of(call.path());
            call.parts.body.hold_to(rules);
        }
        match service_of(call.path()).and_then(|name| self.services.get(name)) {
            Some(service) => service.call(call).await,
            None => call.unimplemented(),
        }
    }
}

/// What tools ask of any server, and those who keep it running: it is of the server itself.
///
/// These services are open to all, and not limited, unless the user says otherwise. They have no health of their own, and
/// their streams, which last for as long as somebody watches, hold up no drain.
pub(super) const ASKED_OF_ANY_SERVER: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Whether a call's path is of one of [those services](ASKED_OF_ANY_SERVER).
pub(super) fn is_asked_of_any_server(path: &str) -> bool {
    // What most paths differ by, so that they are looked at once.
    path.starts_with("/grpc.")
        && service_of(path).is_some_and(|service| ASKED_OF_ANY_SERVER.contains(&service))
}

/// The service that a path names (`helloworld.Greeter` of `/helloworld.Greeter/SayHello`).
pub(super) fn service_of(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.rsplit_once('/')?;
    Some(service)
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.services.keys()).finish()
    }
}
