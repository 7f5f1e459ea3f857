//! Services and methods to the model.

use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use crate::config::{Generate, Stubs};
use crate::descriptors;
use crate::error::Error;
use crate::lower::collisions::{Idents, Item, Kind};
use crate::lower::names::{self, ServiceNames};
use crate::lower::places::Places;
use crate::lower::policy::{self, Layer, Spelling};
use crate::lower::settings::Settings;
use crate::lower::{docs, options, rules, types};
use crate::model::{Docs, Idempotency, Method, MethodKind, Origin, Service};
use crate::source::Spot;
use crate::syntax::Written;

/// In the path of a service, this leads to its options.
const SERVICE_OPTIONS: i32 = 3;
/// In the path of a method, this leads to its options.
const METHOD_OPTIONS: i32 = 4;
/// In the path of a method's options, this leads to `idempotency_level`.
const IDEMPOTENCY_LEVEL: i32 = 34;

/// What services of all files are lowered with.
pub(super) struct Lowering<'a> {
    pub(super) generate: &'a Generate,
    pub(super) settings: Settings<'a>,
    pub(super) idents: Idents,
    pub(super) errors: Vec<Error>,
}

impl Lowering<'_> {
    /// Lowers a service of a package whose modules are given.
    pub(super) fn service(
        &mut self,
        service: &ServiceDescriptor,
        modules: &[String],
        places: &Places<'_>,
    ) -> Service {
        let proto = service.service_descriptor_proto();
        let spot = places.name(service.path());
        let names = self.service_names(service, &spot);
        self.claim_service(service, &names, modules, &spot);

        let options = [service.path(), &[SERVICE_OPTIONS]].concat();
        let written = options::policy(
            &service.options(),
            options::SERVICE,
            places,
            &options,
            &mut self.errors,
        );
        let layer = written.map(|written| {
            policy::judge(
                &written,
                Spelling::Options,
                service_origin,
                &mut self.errors,
            )
        });
        let methods: Vec<Method> = service
            .methods()
            .map(|method| self.method(&method, &names, modules, layer.as_ref(), places))
            .collect();
        Service {
            proto_name: service.name().to_owned(),
            full_name: service.full_name().to_owned(),
            rust_name: names.service,
            client_name: names.client,
            server_name: names.server,
            mock_name: names.mock,
            docs: comment(places, service.path()),
            deprecated: proto
                .options
                .as_ref()
                .is_some_and(|options| options.deprecated()),
            descriptors: self.descriptors(modules),
            has_deprecated_methods: methods.iter().any(|method| method.deprecated),
            methods,
        }
    }

    fn method(
        &mut self,
        method: &MethodDescriptor,
        names: &ServiceNames,
        modules: &[String],
        service_layer: Option<&Layer>,
        places: &Places<'_>,
    ) -> Method {
        let service = method.parent_service();
        let package = service.package_name();
        let proto = method.method_descriptor_proto();
        let spot = places.name(method.path());
        let path = [method.path(), &[METHOD_OPTIONS]].concat();

        let (rust_name, named) = self.method_name(method, &spot);
        let descriptor_name = names::descriptor(&names.prefix, &named);
        let item = self.item(method, &spot);
        let members = [modules, std::slice::from_ref(&names.service)].concat();
        let claimed = self
            .idents
            .claim(&members, Kind::Member, &rust_name, item.clone());
        let mock_name = names::on_mock(&rust_name);
        if claimed && self.generate.mocks() {
            let members = [modules, std::slice::from_ref(&names.mock)].concat();
            self.idents
                .claim(&members, Kind::Member, &mock_name, item.clone());
        }
        if claimed && self.stubs() == Stubs::Wireloom {
            if modules.is_empty() && self.is_of_descriptors(&descriptor_name) {
                self.errors.push(meets_descriptors(&spot, &path_of(method)));
            }
            self.idents
                .claim(modules, Kind::Static, &descriptor_name, item);
        }

        let kind = kind(method);
        let idempotency = idempotency(method);
        let level = || places.item(&[path.as_slice(), &[IDEMPOTENCY_LEVEL]].concat());
        let mut policy = policy::defaults(kind, idempotency, level);
        if let Some(layer) = service_layer {
            layer.over(&mut policy);
        }
        let written = options::policy(
            &method.options(),
            options::METHOD,
            places,
            &path,
            &mut self.errors,
        );
        if let Some(written) = written {
            policy::refuse_throttling(&written, &mut self.errors);
            policy::judge(&written, Spelling::Options, method_origin, &mut self.errors)
                .over(&mut policy);
        }
        self.settings
            .over(&mut policy, package, service.full_name(), method.name());

        Method {
            proto_name: method.name().to_owned(),
            rust_name,
            descriptor_name,
            path: format!("/{}/{}", service.full_name(), method.name()),
            kind,
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
            call_type: call_type(kind).to_owned(),
            mock_name,
            mock_type: mock_type(kind).to_owned(),
            request: types::resolve(package, method.input().full_name()),
            response: types::resolve(package, method.output().full_name()),
            has_request_rules: rules::concern(&method.input()),
            docs: comment(places, method.path()),
            deprecated: proto
                .options
                .as_ref()
                .is_some_and(|options| options.deprecated()),
            idempotency,
            idempotency_rust: idempotency_rust(idempotency).map(str::to_owned),
            policy,
        }
    }

    /// The path to the constant in the root of the module tree, which is as far above as there are modules.
    fn descriptors(&self, modules: &[String]) -> Option<String> {
        self.generate.embedded()?;
        Some("super::".repeat(modules.len()) + descriptors::NAME)
    }

    /// Whether the root of the module tree has something else of this name.
    fn is_of_descriptors(&self, name: &str) -> bool {
        self.generate.embedded().is_some() && name == descriptors::NAME
    }

    /// The names of a service, by its own name or by the one that is set for it.
    fn service_names(&mut self, service: &ServiceDescriptor, spot: &Spot) -> ServiceNames {
        match self.settings.service_name(service.full_name()) {
            Some(name) if !names::is_identifier(&name.value) || name.value.starts_with("r#") => {
                self.errors.push(no_identifier(name, "such as `Greeter`"));
            }
            Some(name) if names::is_reserved_type(&name.value) => self.errors.push(reserved(name)),
            Some(name) => return names::service_called(&name.value),
            None => {}
        }
        let names = names::service(service.name());
        if names.service.is_empty() {
            self.errors
                .push(nameless(spot, "services", service.full_name()));
        }
        names
    }

    /// The Rust name of a method, and what it was made of.
    fn method_name(&mut self, method: &MethodDescriptor, spot: &Spot) -> (String, String) {
        match self
            .settings
            .method_name(method.parent_service().full_name(), method.name())
        {
            Some(name) if !names::is_identifier(&name.value) => {
                self.errors.push(no_identifier(
                    name,
                    "such as `say_hello`, or `r#match` for a keyword",
                ));
            }
            Some(name) if names::is_reserved_method(&name.value, self.stubs()) => {
                self.errors.push(reserved(name))
            }
            Some(name) => return (name.value.clone(), name.value.clone()),
            None => {}
        }
        let rust_name = names::method(method.name(), self.stubs());
        if rust_name.is_empty() {
            self.errors
                .push(nameless(spot, "methods", &path_of(method)));
        }
        (rust_name, method.name().to_owned())
    }

    fn claim_service(
        &mut self,
        service: &ServiceDescriptor,
        names: &ServiceNames,
        modules: &[String],
        spot: &Spot,
    ) {
        let item = Item::new(format!("service `{}`", service.full_name()), spot)
            .renamed("services", service.full_name());
        let sides = [
            (self.generate.client, &names.client, "client"),
            (self.generate.server, &names.server, "server"),
        ];
        let mut taken = Vec::new();
        for (wanted, name, side) in sides {
            match self.stubs() {
                _ if wanted == Some(false) => {}
                Stubs::Wireloom => taken.push(name.clone()),
                // tonic-build's stubs are in modules of their own.
                Stubs::Tonic => taken.push(names::snake(&format!("{}_{side}", names.service))),
            }
        }
        if self.stubs() == Stubs::Wireloom && self.generate.server != Some(false) {
            taken.push(names.service.clone());
        }
        if self.generate.mocks() {
            taken.push(names.mock.clone());
        }
        for name in taken {
            if !self.idents.claim(modules, Kind::Type, &name, item.clone()) {
                return;
            }
        }
    }

    fn stubs(&self) -> Stubs {
        self.generate.stubs.unwrap_or_default()
    }

    fn item(&self, method: &MethodDescriptor, spot: &Spot) -> Item {
        let path = path_of(method);
        Item::new(format!("method `{path}`"), spot).renamed("methods", &path)
    }
}

fn path_of(method: &MethodDescriptor) -> String {
    super::settings::path(method.parent_service().full_name(), method.name())
}

fn comment(places: &Places<'_>, path: &[i32]) -> Docs {
    let (leading, trailing) = places.comments(path);
    docs::rustdoc(leading, trailing)
}

fn idempotency(method: &MethodDescriptor) -> Idempotency {
    let options = method.method_descriptor_proto().options.as_ref();
    match options.map(|options| options.idempotency_level()) {
        Some(IdempotencyLevel::NoSideEffects) => Idempotency::NoSideEffects,
        Some(IdempotencyLevel::Idempotent) => Idempotency::Idempotent,
        Some(IdempotencyLevel::IdempotencyUnknown) | None => Idempotency::Unknown,
    }
}

fn idempotency_rust(idempotency: Idempotency) -> Option<&'static str> {
    match idempotency {
        Idempotency::Unknown => None,
        Idempotency::NoSideEffects => Some("::wireloom::Idempotency::NoSideEffects"),
        Idempotency::Idempotent => Some("::wireloom::Idempotency::Idempotent"),
    }
}

fn call_type(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Unary => "UnaryCall",
        MethodKind::ServerStreaming => "ServerStreamingCall",
        MethodKind::ClientStreaming => "ClientStreamingCall",
        MethodKind::BidiStreaming => "BidiStreamingCall",
    }
}

fn mock_type(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Unary => "UnaryMock",
        MethodKind::ServerStreaming => "ServerStreamingMock",
        MethodKind::ClientStreaming => "ClientStreamingMock",
        MethodKind::BidiStreaming => "BidiStreamingMock",
    }
}

fn kind(method: &MethodDescriptor) -> MethodKind {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => MethodKind::Unary,
        (false, true) => MethodKind::ServerStreaming,
        (true, false) => MethodKind::ClientStreaming,
        (true, true) => MethodKind::BidiStreaming,
    }
}

fn service_origin(spot: &Spot, _: String) -> Origin {
    Origin::ServiceOption {
        file: spot.place.file.clone(),
        line: spot.place.line,
    }
}

fn method_origin(spot: &Spot, _: String) -> Origin {
    Origin::MethodOption {
        file: spot.place.file.clone(),
        line: spot.place.line,
    }
}

fn no_identifier(name: &Written<String>, such_as: &str) -> Error {
    let message = format!("`{}` is no name that Rust takes", name.value);
    name.spot
        .error(message, format!("must be an identifier, {such_as}"))
}

fn reserved(name: &Written<String>) -> Error {
    name.spot.error(
        format!("generated code needs the name `{}` for itself", name.value),
        "must be another name",
    )
}

fn meets_descriptors(spot: &Spot, path: &str) -> Error {
    let what = format!(
        "the static of `{path}` and that of the embedded descriptors are both called `{}`",
        descriptors::NAME
    );
    spot.error(what, "").with_help(format!(
        "name the method in wireloom.toml: `[methods.\"{path}\"]`, `rust_name = \"...\"`"
    ))
}

fn nameless(spot: &Spot, table: &str, name: &str) -> Error {
    let error = spot.error(
        format!("`{name}` has no letter or digit to name it by in Rust"),
        "",
    );
    error.with_help(format!(
        "name it in wireloom.toml: `[{table}.\"{name}\"]`, `rust_name = \"...\"`"
    ))
}
