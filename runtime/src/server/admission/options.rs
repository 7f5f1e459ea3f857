use std::collections::BTreeMap;

use tonic::Status;

use super::limits::Limits;
use crate::server::{
    Server,
    router::{ASKED_OF_ANY_SERVER, Router},
    settings::Origins,
};

/// What a server is told of admission.
#[derive(Clone, Debug)]
pub(in crate::server) struct AdmissionOptions {
    pub(in crate::server) limits: Limits,
    /// By the name of a method (`package.Service/Method`) or of a service.
    pub(in crate::server) methods: BTreeMap<String, Limits>,
    pub(in crate::server) exempt: Vec<String>,
}

impl Default for AdmissionOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            methods: BTreeMap::new(),
            // Whoever keeps a server running must not take it for dead because it is busy.
            exempt: ASKED_OF_ANY_SERVER.map(str::to_owned).to_vec(),
        }
    }
}

impl AdmissionOptions {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for limits and exemptions of what is not served: a name that is misspelt would leave its method without.
    /// All of them are told, one per line.
    pub(in crate::server) fn refuse_unknown(
        &self,
        router: &Router,
        origins: &Origins,
    ) -> Result<(), Status> {
        let placed = |place: Option<&str>, unknown: String| match place {
            Some(place) => format!("{place}: {unknown}"),
            None => unknown,
        };
        let limited = self.methods.iter().filter_map(|(name, limits)| {
            let unknown = router.unknown(name, "limits are")?;
            Some(placed(origins.of_limits(name, limits), unknown))
        });
        // Those of the default may not be served.
        let exempt = self.exempt.iter();
        let exempt = exempt.filter(|name| !ASKED_OF_ANY_SERVER.contains(&name.as_str()));
        let exempt = exempt.filter_map(|name| {
            let unknown = router.unknown(name, "an exemption from limits is")?;
            Some(placed(origins.of_exempt(&self.exempt), unknown))
        });
        let unknown: Vec<_> = limited.chain(exempt).collect();
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(Status::invalid_argument(unknown.join("\n"))),
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
    /// counted for its service's. The default has none; those of the same name are replaced. A slash before the name, as in
    /// the path of a call, is left out.
    ///
    /// A name that is not served fails `serve` with INVALID_ARGUMENT.
    pub fn method_limits(mut self, name: impl Into<String>, limits: Limits) -> Self {
        let name = name.into().trim_start_matches('/').to_owned();
        self.options.admission.methods.insert(name, limits);
        self
    }

    /// Holds these services (`helloworld.Greeter`) and methods (`helloworld.Greeter/SayHello`) to no limits, in place of the
    /// default: `grpc.health.v1.Health` and the `ServerReflection` of `grpc.reflection.v1` and `grpc.reflection.v1alpha`,
    /// since whoever keeps a server running must not take it for dead because it is busy.
    ///
    /// A name that is not served fails `serve` with INVALID_ARGUMENT.
    pub fn exempt_from_limits<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        let names = names.into_iter().map(Into::into);
        let names = names.map(|name: String| name.trim_start_matches('/').to_owned());
        self.options.admission.exempt = names.collect();
        self
    }
}
