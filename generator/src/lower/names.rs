//! Names: as prost-build makes them for messages, and by the same rules for services and methods.

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};

use crate::config::Stubs;

/// Methods that every client has or gets from the prelude, where a method of the service would take their place or, as
/// they take `self`, lose to them. The trait has the same names, so that handlers can be cloned and converted too.
const RESERVED_METHODS: [&str; 5] = ["clone", "connect", "into", "new", "try_into"];

/// What mocks have besides, on which methods of the service would lie.
const RESERVED_ON_MOCKS: [&str; 3] = ["client", "server", "verify"];

/// Types whose names generated code uses for parameters.
const RESERVED_TYPES: [&str; 1] = ["T"];

/// Makes a name an identifier: prost-build's rule, which it keeps to itself.
pub(super) fn escaped(name: &str) -> String {
    match name {
        "as" | "break" | "const" | "continue" | "else" | "enum" | "false" | "fn" | "for" | "if"
        | "impl" | "in" | "let" | "loop" | "match" | "mod" | "move" | "mut" | "pub" | "ref"
        | "return" | "static" | "struct" | "trait" | "true" | "type" | "unsafe" | "use"
        | "where" | "while" | "dyn" | "abstract" | "become" | "box" | "do" | "final" | "macro"
        | "override" | "priv" | "typeof" | "unsized" | "virtual" | "yield" | "async" | "await"
        | "try" | "gen" => format!("r#{name}"),
        "_" | "super" | "self" | "Self" | "extern" | "crate" => format!("{name}_"),
        _ if name.starts_with(char::is_numeric) => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// The name of a field, a method or a module.
pub(super) fn snake(name: &str) -> String {
    escaped(&name.to_snake_case())
}

/// The name of a type.
pub(super) fn upper_camel(name: &str) -> String {
    escaped(&name.to_upper_camel_case())
}

/// The modules that lead to a package.
pub(super) fn modules(package: &str) -> Vec<String> {
    package
        .split('.')
        .filter(|part| !part.is_empty())
        .map(snake)
        .collect()
}

/// The name of an enum's variant: prost-build leaves out the enum's own name.
pub(super) fn variant(enum_name: &str, value: &str) -> String {
    let value = value.to_upper_camel_case();
    let stripped = value
        .strip_prefix(enum_name)
        .filter(|rest| rest.starts_with(char::is_uppercase));
    escaped(stripped.unwrap_or(&value))
}

/// The names of what is generated for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceNames {
    pub(super) service: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) mock: String,
    /// What the names of descriptors start with.
    pub(super) prefix: String,
}

/// Names a service after its proto name.
pub(super) fn service(name: &str) -> ServiceNames {
    let base = name.to_upper_camel_case();
    let escaped = match RESERVED_TYPES.contains(&base.as_str()) {
        true => format!("{base}_"),
        false => escaped(&base),
    };
    ServiceNames {
        service: escaped,
        ..service_called(&base)
    }
}

/// Names a service after the Rust name that is set for it.
pub(super) fn service_called(name: &str) -> ServiceNames {
    ServiceNames {
        service: name.to_owned(),
        client: escaped(&format!("{name}Client")),
        server: escaped(&format!("{name}Server")),
        mock: escaped(&format!("{name}Mock")),
        prefix: name.to_shouty_snake_case(),
    }
}

/// Names a method after its proto name.
pub(super) fn method(name: &str, stubs: Stubs) -> String {
    let snake = name.to_snake_case();
    match is_reserved_method(&snake, stubs) {
        true => format!("{snake}_"),
        false => escaped(&snake),
    }
}

/// Names the method of a mock after the Rust name of the method that it scripts.
pub(super) fn on_mock(method: &str) -> String {
    match RESERVED_ON_MOCKS.contains(&method) {
        true => format!("{method}_"),
        false => method.to_owned(),
    }
}

/// Names the descriptor of a method, whose name is a proto name or a Rust one.
pub(super) fn descriptor(prefix: &str, method: &str) -> String {
    escaped(&format!(
        "{prefix}_{}",
        method.trim_start_matches("r#").to_shouty_snake_case()
    ))
}

/// Whether generated code needs a method's name for itself; tonic-build has its own list.
pub(super) fn is_reserved_method(name: &str, stubs: Stubs) -> bool {
    stubs == Stubs::Wireloom && RESERVED_METHODS.contains(&name)
}

/// Whether generated code needs a type's name for itself.
pub(super) fn is_reserved_type(name: &str) -> bool {
    RESERVED_TYPES.contains(&name)
}

/// Whether a name can be written in Rust as it is.
pub(super) fn is_identifier(name: &str) -> bool {
    let plain = name.strip_prefix("r#").unwrap_or(name);
    let starts_well = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on_well = plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    starts_well && goes_on_well && escaped(plain) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str) -> String {
        super::method(name, Stubs::Wireloom)
    }

    #[test]
    fn a_method_is_snake_case() {
        assert_eq!(method("SayHello"), "say_hello");
        assert_eq!(method("GetHTTPStatus"), "get_http_status");
    }

    #[test]
    fn a_method_named_like_a_keyword_is_raw() {
        assert_eq!(method("Match"), "r#match");
        assert_eq!(method("Gen"), "r#gen");
    }

    #[test]
    fn a_method_that_cannot_be_raw_has_an_underscore() {
        assert_eq!(method("Self"), "self_");
        assert_eq!(method("Crate"), "crate_");
    }

    #[test]
    fn a_method_that_clients_have_already_has_an_underscore() {
        for (proto, rust) in [
            ("New", "new_"),
            ("Connect", "connect_"),
            ("Clone", "clone_"),
            ("Into", "into_"),
            ("TryInto", "try_into_"),
        ] {
            assert_eq!(method(proto), rust);
        }
    }

    #[test]
    fn a_method_that_mocks_have_already_has_an_underscore_there_alone() {
        assert_eq!(method("Verify"), "verify");
        assert_eq!(on_mock("verify"), "verify_");
        assert_eq!(on_mock("server"), "server_");
        assert_eq!(on_mock("r#match"), "r#match");
    }

    #[test]
    fn tonic_build_escapes_methods_itself() {
        assert_eq!(super::method("Clone", Stubs::Tonic), "clone");
    }

    #[test]
    fn a_method_named_like_a_field_of_the_client_stays() {
        assert_eq!(method("Channel"), "channel");
    }

    #[test]
    fn a_service_named_like_a_keyword_is_escaped() {
        let names = service("self");
        assert_eq!(
            (names.service.as_str(), names.client.as_str()),
            ("Self_", "SelfClient")
        );
    }

    #[test]
    fn a_service_named_like_the_type_parameter_is_escaped() {
        assert_eq!(service("t").service, "T_");
        assert_eq!(service("T").client, "TClient");
    }

    #[test]
    fn a_descriptor_is_named_after_both() {
        assert_eq!(
            descriptor(&service("Greeter").prefix, "SayHello"),
            "GREETER_SAY_HELLO"
        );
        assert_eq!(
            descriptor(&service("RouteGuide").prefix, "r#match"),
            "ROUTE_GUIDE_MATCH"
        );
    }

    #[test]
    fn a_package_is_modules() {
        assert_eq!(
            modules("google.type.v1Beta"),
            ["google", "r#type", "v1_beta"]
        );
        assert!(modules("").is_empty());
    }

    #[test]
    fn a_variant_loses_the_name_of_its_enum() {
        assert_eq!(variant("Color", "COLOR_RED"), "Red");
        assert_eq!(variant("Color", "COLORFUL"), "Colorful");
        assert_eq!(variant("Color", "COLOR_SELF"), "Self_");
    }

    #[test]
    fn an_identifier_is_what_rust_takes() {
        assert!(is_identifier("say_hello") && is_identifier("r#match"));
        assert!(
            !is_identifier("match")
                && !is_identifier("say-hello")
                && !is_identifier("")
                && !is_identifier("r#x")
        );
    }
}
