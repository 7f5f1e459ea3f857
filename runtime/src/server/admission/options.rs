use std::collections::HashMap;

use tonic::Status;

use super::limits::Limits;
use crate::server::{
    Server,
    router::{ASKED_OF_ANY_SERVER, Router},
};

/// What a server is told of admission.
#[derive(Clone, Debug)]
pub(in crate::server) struct AdmissionOptions {
    pub(in crate::server) limits: Limits,
    /// By the name of a method (`package.Service/Method`) or of a service.
    pub(in crate::server) methods: HashMap<String, Limits>,
    pub(in crate::server) exempt: Vec<String>,
}

impl Default for AdmissionOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            methods: HashMap::new(),
            // Whoever keeps a server running must not take it for dead because it is busy.
            exempt: ASKED_OF_ANY_SERVER.map(str::to_owned).to_vec(),
        }
    }
}

impl AdmissionOptions {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for limits of what is not served: a name that is misspelt would leave its method without any.
    pub(in crate::server) fn refuse_unknown(&self, router: &Router) -> Result<(), Status> {
        match self.methods.keys().find(|name| !router.serves(name)) {
            None => Ok(()),
            Some(name) => Err(Status::invalid_argument(format!(
                "there is no service or method {name}, for which limits are set: it must be one that is served, such as \
                 helloworld.Greeter or helloworld.Greeter/SayHello"
            ))),
        }
    }
}

impl Server {
    /// Refuses calls beyond these limits, which hold for all methods together. The default has no limits; see [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.admission.limits = limits;
        self
    }

    /// Refuses calls of a method (`helloworld.Greeter/SayHello`), or of all methods of a service together
    /// (`helloworld.Greeter`), beyond these limits, which hold beside the server's. A method with limits of its own is not
    /// counted for its service's. The default has none; those of the same name are replaced.
    pub fn method_limits(mut self, name: impl Into<String>, limits: Limits) -> Self {
        self.options.admission.methods.insert(name.into(), limits);
        self
    }

    /// Holds these services (`helloworld.Greeter`) and methods (`helloworld.Greeter/SayHello`) to no limits, in place of the
    /// default: `grpc.health.v1.Health` and the `ServerReflection` of `grpc.reflection.v1` and `grpc.reflection.v1alpha`,
    /// since whoever keeps a server running must not take it for dead because it is busy.
    pub fn exempt_from_limits<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.options.admission.exempt = names.into_iter().map(Into::into).collect();
        self
    }
}
