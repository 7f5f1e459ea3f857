//! Message types as Rust paths: where prost-build puts them, as seen from a package.

use std::iter::repeat_n;

use crate::lower::names::{snake, upper_camel};
use crate::model::RustType;

/// Resolves a message, by its full proto name, from the module of a package.
pub(super) fn resolve(package: &str, message: &str) -> RustType {
    let rust_path = well_known(message).unwrap_or_else(|| relative(package, message));
    RustType {
        proto_name: message.to_owned(),
        rust_path,
    }
}

/// The path of a type of `google.protobuf`, which prost-types has, or Rust itself.
fn well_known(message: &str) -> Option<String> {
    let name = message.strip_prefix("google.protobuf.")?;
    let path = match name {
        "BoolValue" => "bool",
        "BytesValue" => "::wireloom::prost::alloc::vec::Vec<u8>",
        "DoubleValue" => "f64",
        "Empty" => "()",
        "FloatValue" => "f32",
        "Int32Value" => "i32",
        "Int64Value" => "i64",
        "StringValue" => "::wireloom::prost::alloc::string::String",
        "UInt32Value" => "u32",
        "UInt64Value" => "u64",
        _ => return Some(format!("::wireloom::prost_types::{}", nested(name))),
    };
    Some(path.to_owned())
}

/// A path of packages or messages, and a message: the ones before the last are modules.
fn nested(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    let last = parts.pop().map(upper_camel);
    let path: Vec<String> = parts.into_iter().map(snake).chain(last).collect();
    path.join("::")
}

/// The path that leads up from the package as far as it must, and down to the message.
fn relative(package: &str, message: &str) -> String {
    let from: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = message.split('.').collect();
    // The last part names the message, which is in no case a module on the way.
    let common = from
        .iter()
        .zip(&to[..to.len() - 1])
        .take_while(|(a, b)| a == b)
        .count();
    let up = repeat_n("super::", from.len() - common).collect::<String>();
    up + &nested(&to[common..].join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(package: &str, message: &str) -> String {
        resolve(package, message).rust_path
    }

    #[test]
    fn a_message_of_the_package_is_its_name() {
        assert_eq!(
            path("helloworld", "helloworld.HelloRequest"),
            "HelloRequest"
        );
    }

    #[test]
    fn a_nested_message_is_in_a_module() {
        assert_eq!(path("x", "x.OuterType.Inner"), "outer_type::Inner");
    }

    #[test]
    fn a_message_of_a_sibling_package_is_up_and_down() {
        assert_eq!(path("x.a", "x.b.v1.Msg"), "super::b::v1::Msg");
        assert_eq!(path("x.a.v1", "y.Msg"), "super::super::super::y::Msg");
    }

    #[test]
    fn a_message_of_a_package_above_is_up() {
        assert_eq!(path("x.a.v1", "x.a.Msg"), "super::Msg");
    }

    #[test]
    fn a_message_named_like_the_next_package_is_not_that() {
        assert_eq!(path("x.a", "x.a"), "super::A");
        assert_eq!(path("x.a", "x.A.B"), "super::a::B");
    }

    #[test]
    fn a_message_without_package_is_at_the_root() {
        assert_eq!(path("", "Msg"), "Msg");
        assert_eq!(path("x.a", "Msg"), "super::super::Msg");
        assert_eq!(path("", "x.Msg"), "x::Msg");
    }

    #[test]
    fn a_keyword_in_the_path_is_raw() {
        assert_eq!(
            path("x", "google.type.Money"),
            "super::google::r#type::Money"
        );
    }

    #[test]
    fn messages_named_like_the_prelude_keep_their_names() {
        for name in ["Option", "Result", "String", "Box", "Vec", "Request"] {
            assert_eq!(path("x", &format!("x.{name}")), name);
        }
    }

    #[test]
    fn well_known_types_are_as_prost_maps_them() {
        assert_eq!(path("x", "google.protobuf.Empty"), "()");
        assert_eq!(path("x", "google.protobuf.DoubleValue"), "f64");
        assert_eq!(
            path("x", "google.protobuf.StringValue"),
            "::wireloom::prost::alloc::string::String"
        );
        assert_eq!(
            path("x", "google.protobuf.Timestamp"),
            "::wireloom::prost_types::Timestamp"
        );
        assert_eq!(
            path("x", "google.protobuf.compiler.Version"),
            "::wireloom::prost_types::compiler::Version"
        );
    }
}
