//! Stubs as tonic-build writes them, for `stubs = "tonic"`: code written for tonic compiles unchanged.
//!
//! Two things differ. Every name resolves through `wireloom`, so that a crate of generated code needs no other
//! dependency; and a client's `connect` and what serves the server are Wireloom's.

use proc_macro2::TokenStream;
use syn::Item;
use tonic_build::CodeGenBuilder;

use crate::builder::Sides;
use crate::error::Error;
use crate::model::{Docs, Method, MethodKind, Package, RustType, Service};
use crate::render::GENERATION;

/// What tonic's client has beside the methods of the proto.
const TAKEN: [&str; 8] = [
    "new",
    "connect",
    "with_origin",
    "with_interceptor",
    "send_compressed",
    "accept_compressed",
    "max_decoding_message_size",
    "max_encoding_message_size",
];

/// Generates the stubs of a package's services.
pub(crate) fn stubs(package: &Package, sides: Sides) -> Result<String, Error> {
    let mut builder = CodeGenBuilder::new();
    builder.emit_package(true).build_transport(false);

    let mut stubs = syn::File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items: Vec::new(),
    };
    for service in &package.services {
        let service = TonicService::new(package, service);
        if sides.client() {
            let client = builder.generate_client(&service, "super");
            stubs.items.extend(with_items(
                client,
                &["use ::wireloom::tonic;", &connect(&service)],
            )?);
        }
        if sides.server() {
            let server = builder.generate_server(&service, "super");
            stubs.items.extend(with_items(
                server,
                &["use ::wireloom::tonic;", &serve(&service)],
            )?);
        }
    }
    stubs.items.push(parse(&format!(
        "const _: () = ::wireloom::codegen::require({GENERATION});"
    ))?);
    Ok(prettyplease::unparse(&stubs))
}

/// The module that tonic-build made, with items before and after its own.
fn with_items(module: TokenStream, [first, last]: &[&str; 2]) -> Result<Vec<Item>, Error> {
    let mut file: syn::File = syn::parse2(module).map_err(invalid)?;
    for item in &mut file.items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &mut module.content
        {
            items.insert(0, parse(first)?);
            let last: syn::File = syn::parse_str(last).map_err(invalid)?;
            items.extend(last.items);
        }
    }
    Ok(file.items)
}

fn parse(item: &str) -> Result<Item, Error> {
    syn::parse_str(item).map_err(invalid)
}

fn invalid(error: syn::Error) -> Error {
    Error::new("tonic-build's stubs are not valid Rust").with_cause(error)
}

/// `connect`, which tonic-build's own transport would bring. `dst` is what tonic takes: a string or a URI.
fn connect(service: &TonicService) -> String {
    format!(
        "impl {}Client<::wireloom::Channel> {{
            /// Connects to `dst`, such as `http://localhost:50051` or `unix:/run/greeter.sock`.
            ///
            /// # Errors
            ///
            /// INVALID_ARGUMENT if `dst` is no address, UNAVAILABLE if nothing answers there.
            pub async fn connect<D>(dst: D) -> std::result::Result<Self, ::wireloom::Status>
            where
                D: std::string::ToString,
            {{
                ::wireloom::Channel::connect(&dst.to_string()).await.map(Self::new)
            }}
        }}",
        service.service.rust_name
    )
}

/// What lets Wireloom's server serve tonic's.
fn serve(service: &TonicService) -> String {
    // tonic-build's server is in a module of its own.
    let descriptors = service
        .service
        .descriptors
        .as_ref()
        .map(|path| format!("const FILE_DESCRIPTOR_SET: &'static [u8] = super::{path};"));
    let methods = &service.service.methods;
    let statics: Vec<_> = methods.iter().map(descriptor).collect();
    let references = (0..methods.len()).map(|at| format!("METHODS[{at}].descriptor()"));
    format!(
        "/// The methods, with what their protos say of them to a server.
        static METHODS: [::wireloom::Method<(), ()>; {count}] = [{statics}];

        impl<T: {name}> ::wireloom::server::Service for {name}Server<T> {{
            const NAME: &'static str = SERVICE_NAME;
            {descriptors}
            const METHODS: &'static [&'static ::wireloom::MethodDescriptor] = &[{references}];

            async fn call(&self, call: ::wireloom::server::Call) -> ::wireloom::server::Reply {{
                ::wireloom::server::serve_tower(self, call).await
            }}
        }}",
        count = methods.len(),
        statics = statics.join(", "),
        references = references.collect::<Vec<_>>().join(", "),
        name = service.service.rust_name,
        descriptors = descriptors.unwrap_or_default(),
    )
}

/// What a server needs to know of a method; the rest of its policy is a client's.
fn descriptor(method: &Method) -> String {
    let kind = match method.kind {
        MethodKind::Unary => "unary",
        MethodKind::ServerStreaming => "server_streaming",
        MethodKind::ClientStreaming => "client_streaming",
        MethodKind::BidiStreaming => "bidi_streaming",
    };
    let authorization = method.policy.authorization.as_ref();
    let authorization = authorization.map(|authorization| {
        let rust = &authorization.value.rust;
        format!(".with_authorization({rust})")
    });
    let path = &method.path;
    let authorization = authorization.unwrap_or_default();
    let rules = match method.has_request_rules {
        true => ".with_request_rules()",
        false => "",
    };
    format!("::wireloom::Method::{kind}({path:?}){authorization}{rules}")
}

/// A service as tonic-build wants it.
struct TonicService<'a> {
    package: &'a Package,
    service: &'a Service,
    methods: Vec<TonicMethod<'a>>,
    docs: Vec<String>,
}

impl<'a> TonicService<'a> {
    fn new(package: &'a Package, service: &'a Service) -> Self {
        let methods = service.methods.iter().map(TonicMethod::new).collect();
        Self {
            package,
            service,
            methods,
            docs: comment(&service.docs),
        }
    }
}

impl<'a> tonic_build::Service for TonicService<'a> {
    type Comment = String;
    type Method = TonicMethod<'a>;

    fn name(&self) -> &str {
        &self.service.rust_name
    }

    fn package(&self) -> &str {
        &self.package.proto_name
    }

    fn identifier(&self) -> &str {
        &self.service.proto_name
    }

    fn methods(&self) -> &[Self::Method] {
        &self.methods
    }

    fn comment(&self) -> &[Self::Comment] {
        &self.docs
    }
}

/// A method as tonic-build wants it.
struct TonicMethod<'a> {
    method: &'a Method,
    name: String,
    docs: Vec<String>,
}

impl<'a> TonicMethod<'a> {
    fn new(method: &'a Method) -> Self {
        let taken = TAKEN.contains(&method.rust_name.as_str());
        let name = format!("{}{}", method.rust_name, if taken { "_" } else { "" });
        Self {
            method,
            name,
            docs: comment(&method.docs),
        }
    }
}

impl tonic_build::Method for TonicMethod<'_> {
    type Comment = String;

    fn name(&self) -> &str {
        &self.name
    }

    fn identifier(&self) -> &str {
        &self.method.proto_name
    }

    fn codec_path(&self) -> &str {
        "::wireloom::tonic_prost::ProstCodec"
    }

    fn client_streaming(&self) -> bool {
        self.method.client_streaming
    }

    fn server_streaming(&self) -> bool {
        self.method.server_streaming
    }

    fn comment(&self) -> &[Self::Comment] {
        &self.docs
    }

    fn deprecated(&self) -> bool {
        self.method.deprecated
    }

    fn request_response_name(&self, parent: &str, _: bool) -> (TokenStream, TokenStream) {
        (
            from_inside(&self.method.request, parent),
            from_inside(&self.method.response, parent),
        )
    }
}

/// A comment as tonic-build wants it: without a space in front, it would add one to some lines and not to others.
fn comment(docs: &Docs) -> Vec<String> {
    docs.lines
        .iter()
        .map(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!(" {line}")
            }
        })
        .collect()
}

/// A type's path as seen from a module inside that of the package.
fn from_inside(message: &RustType, parent: &str) -> TokenStream {
    let path = &message.rust_path;
    // What does not depend on the module: `::wireloom::prost_types::Any`, `()`, `f64`.
    let absolute = path.starts_with("::") || path == "()";
    let primitive = !path.contains("::") && path.starts_with(|c: char| c.is_ascii_lowercase());
    let path = if absolute || primitive {
        path.clone()
    } else {
        format!("{parent}::{path}")
    };
    path.parse().expect("the model's types are Rust paths")
}
