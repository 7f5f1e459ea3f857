//! Names, types and comments of services and methods.

use super::{lower, lower_all, method};
use crate::model::{Idempotency, MethodKind};

#[test]
fn a_method_has_both_its_names_and_its_path() {
    let model =
        lower("package helloworld; message M {} service Greeter { rpc SayHello(M) returns (M); }");
    let package = &model.packages[0];
    let service = &package.services[0];
    assert_eq!(
        (package.proto_name.as_str(), &package.rust_path[..]),
        ("helloworld", &["helloworld".to_owned()][..])
    );
    assert_eq!(
        (service.full_name.as_str(), service.client_name.as_str()),
        ("helloworld.Greeter", "GreeterClient")
    );
    let method = &service.methods[0];
    assert_eq!(method.rust_name, "say_hello");
    assert_eq!(method.descriptor_name, "GREETER_SAY_HELLO");
    assert_eq!(method.path, "/helloworld.Greeter/SayHello");
    assert_eq!(method.request.rust_path, "M");
}

#[test]
fn the_four_kinds_are_told_apart() {
    let model = lower(
        "message M {} service S { rpc A(M) returns (M); rpc B(M) returns (stream M);
         rpc C(stream M) returns (M); rpc D(stream M) returns (stream M); }",
    );
    let kinds: Vec<_> = model.packages[0].services[0]
        .methods
        .iter()
        .map(|method| method.kind)
        .collect();
    let expected = [
        MethodKind::Unary,
        MethodKind::ServerStreaming,
        MethodKind::ClientStreaming,
        MethodKind::BidiStreaming,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn a_method_has_rules_where_anything_in_its_requests_has() {
    let model = lower(
        "import 'buf/validate/validate.proto'; import 'google/api/field_behavior.proto';
         message Free { uint32 a = 1 [(google.api.field_behavior) = OPTIONAL]; Free b = 2; }
         message Field { uint32 a = 1 [(buf.validate.field).uint32.gt = 0]; }
         message OfOneof { oneof a { option (buf.validate.oneof).required = true; uint32 b = 1; } }
         message Whole { option (buf.validate.message).cel_expression = 'true'; }
         message Needed { string a = 1 [(google.api.field_behavior) = REQUIRED]; }
         message Outer { map<string, Middle> a = 1; }
         message Middle { Outer a = 1; repeated Field b = 2; }
         service S { rpc Free(Free) returns (Field); rpc Field(Field) returns (Free); rpc OfOneof(OfOneof) returns (Free);
         rpc Whole(stream Whole) returns (Free); rpc Needed(Needed) returns (Free); rpc Inner(Outer) returns (Free); }",
    );
    let methods = &model.packages[0].services[0].methods;
    let ruled = methods.iter().filter(|method| method.has_request_rules);
    let ruled: Vec<_> = ruled.map(|method| method.proto_name.as_str()).collect();
    assert_eq!(ruled, ["Field", "OfOneof", "Whole", "Needed", "Inner"]);
}

#[test]
fn a_service_without_package_is_at_the_root() {
    let model = lower("message M {} service S { rpc A(M) returns (M); }");
    assert!(model.packages[0].rust_path.is_empty());
    assert_eq!(method(&model, "S/A").path, "/S/A");
}

#[test]
fn services_of_the_same_name_live_in_two_packages() {
    let proto = |package| {
        format!(
            "syntax = 'proto3'; package {package}; message M {{}} service S {{ rpc A(M) returns (M); }}"
        )
    };
    let model = lower_all(
        &[("a.proto", &proto("x.a")), ("b.proto", &proto("x.b"))],
        "",
    );
    let names: Vec<_> = model
        .packages
        .iter()
        .map(|package| package.services[0].full_name.as_str())
        .collect();
    assert_eq!(names, ["x.a.S", "x.b.S"]);
}

#[test]
fn methods_named_like_what_generated_code_uses_are_escaped() {
    let model = lower(
        "message M {} service S { rpc New(M) returns (M); rpc Connect(M) returns (M); rpc Clone(M) returns (M);
         rpc Channel(M) returns (M); rpc Into(M) returns (M); rpc Match(M) returns (M); rpc Self(M) returns (M); }",
    );
    let names: Vec<_> = model.packages[0].services[0]
        .methods
        .iter()
        .map(|method| method.rust_name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "new_", "connect_", "clone_", "channel", "into_", "r#match", "self_"
        ]
    );
}

#[test]
fn messages_named_like_the_prelude_keep_their_names() {
    let model = lower(
        "message Option {} message Result {} message String {} message Box {} message Vec {} message Request {}
         service S { rpc A(Option) returns (Result); rpc B(String) returns (Box); rpc C(Vec) returns (Request); }",
    );
    let types: Vec<_> = model.packages[0].services[0]
        .methods
        .iter()
        .map(|method| {
            (
                method.request.rust_path.as_str(),
                method.response.rust_path.as_str(),
            )
        })
        .collect();
    assert_eq!(
        types,
        [("Option", "Result"), ("String", "Box"), ("Vec", "Request")]
    );
}

#[test]
fn messages_of_other_files_and_packages_are_reached() {
    let model = lower_all(
        &[
            ("x/a.proto", "syntax = 'proto3'; package x.a; import 'x/b.proto'; import 'c.proto'; import 'google/protobuf/timestamp.proto'; import 'google/protobuf/empty.proto';
              service S { rpc A(x.b.M.Inner) returns (C); rpc B(google.protobuf.Timestamp) returns (google.protobuf.Empty); }"),
            ("x/b.proto", "syntax = 'proto3'; package x.b; message M { message Inner {} }"),
            ("c.proto", "syntax = 'proto3'; message C {}"),
        ],
        "",
    );
    let a = method(&model, "x.a.S/A");
    assert_eq!(
        (a.request.rust_path.as_str(), a.response.rust_path.as_str()),
        ("super::b::m::Inner", "super::super::C")
    );
    let b = method(&model, "x.a.S/B");
    assert_eq!(b.request.rust_path, "::wireloom::prost_types::Timestamp");
    assert_eq!(b.response.rust_path, "()");
}

#[test]
fn a_message_beside_a_package_of_its_name_is_no_collision() {
    let model = lower_all(
        &[
            (
                "x.proto",
                "syntax = 'proto3'; package x; message A { message B {} }",
            ),
            (
                "a.proto",
                "syntax = 'proto3'; package x.a; import 'x.proto'; message C {} service S { rpc M(x.A.B) returns (C); }",
            ),
        ],
        "",
    );
    assert_eq!(method(&model, "x.a.S/M").request.rust_path, "super::a::B");
}

#[test]
fn a_message_at_the_root_beside_a_package_of_its_name_is_no_collision() {
    lower_all(
        &[
            (
                "root.proto",
                "syntax = 'proto3'; message A { enum E { Z = 0; } }",
            ),
            ("a.proto", "syntax = 'proto3'; package a; message B {}"),
        ],
        "",
    );
}

#[test]
fn groups_oneofs_maps_optionals_and_recursion_are_no_collisions() {
    let proto2 = "syntax = 'proto2'; package a;
        message M { optional group Inner = 1 { optional string s = 1; } repeated M more = 2;
          oneof kind { string text = 3; group Other = 4 { optional int32 i = 1; } } map<string, M> by_name = 5; }
        service S { rpc A(M) returns (M.Inner); }";
    let proto3 = "syntax = 'proto3'; package b;
        message M { optional string name = 1; oneof inner { string a = 2; int32 b = 3; } message Inner {}
          map<string, Inner> inners = 4; }";
    let model = lower_all(&[("a.proto", proto2), ("b.proto", proto3)], "");
    assert_eq!(method(&model, "a.S/A").response.rust_path, "m::Inner");
}

#[test]
fn enum_aliases_are_no_collisions() {
    lower("package a; enum E { option allow_alias = true; E_ONE = 0; ONE = 0; }");
}

#[test]
fn deprecated_services_and_methods_are_marked() {
    let model = lower(
        "message M {} service S { option deprecated = true; rpc A(M) returns (M) { option deprecated = true; } rpc B(M) returns (M); }",
    );
    let service = &model.packages[0].services[0];
    assert!(service.deprecated && service.has_deprecated_methods);
    assert!(service.methods[0].deprecated && !service.methods[1].deprecated);
}

#[test]
fn the_idempotency_level_is_kept() {
    let model = lower(
        "message M {} service S { rpc A(M) returns (M) { option idempotency_level = NO_SIDE_EFFECTS; }
         rpc B(M) returns (M) { option idempotency_level = IDEMPOTENT; } rpc C(M) returns (M); }",
    );
    let levels: Vec<_> = model.packages[0].services[0]
        .methods
        .iter()
        .map(|method| method.idempotency)
        .collect();
    assert_eq!(
        levels,
        [
            Idempotency::NoSideEffects,
            Idempotency::Idempotent,
            Idempotency::Unknown
        ]
    );
}

#[test]
fn comments_that_are_detached_are_no_docs() {
    let model = lower(
        "\n// A licence.\n\n// Greets.\nservice S {\n  rpc B(M) returns (M);\n\n  // Detached.\n\n  // Says it.\n  rpc A(M) returns (M); // Kindly.\n}\nmessage M {}",
    );
    let service = &model.packages[0].services[0];
    assert_eq!(service.docs.lines, ["Greets."]);
    assert_eq!(service.methods[1].docs.lines, ["Says it.", "", "Kindly."]);
}

#[test]
fn a_block_comment_loses_its_stars() {
    let model = lower("\n/**\n * Greets.\n *\n *     code()\n */\nservice S {}");
    assert_eq!(
        model.packages[0].services[0].docs.lines,
        ["Greets.", "", "```text", "code()", "```"]
    );
}

#[test]
fn a_rust_name_in_the_configuration_renames_all_that_is_generated() {
    let model = lower_all(
        &[(
            "a.proto",
            "syntax = 'proto3'; package a; message M {} service S { rpc A(M) returns (M); }",
        )],
        "[services.\"a.S\"]\nrust_name = 'HTTPGreeter'\n[methods.\"a.S/A\"]\nrust_name = 'greet_all'",
    );
    let service = &model.packages[0].services[0];
    assert_eq!(
        (service.rust_name.as_str(), service.client_name.as_str()),
        ("HTTPGreeter", "HTTPGreeterClient")
    );
    let method = &service.methods[0];
    assert_eq!(
        (method.rust_name.as_str(), method.descriptor_name.as_str()),
        ("greet_all", "HTTP_GREETER_GREET_ALL")
    );
    assert_eq!(method.path, "/a.S/A");
}

#[test]
fn files_that_the_runtime_has_are_not_generated() {
    let model =
        lower("package a; import 'wireloom/options.proto'; import 'google/protobuf/any.proto';");
    let packages: Vec<_> = model
        .packages
        .iter()
        .map(|package| package.proto_name.as_str())
        .collect();
    assert_eq!(packages, ["a"]);
}

#[test]
fn a_name_that_is_not_generated_is_free() {
    let proto = "syntax = 'proto3'; package a; message GreeterServer {} message GreeterClient {} service Greeter {}";
    for toml in [
        "[generate]\nclient = false\nserver = false",
        "[generate]\nstubs = 'tonic'",
    ] {
        lower_all(&[("a.proto", proto)], toml);
    }
}
