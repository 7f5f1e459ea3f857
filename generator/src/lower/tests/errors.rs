//! What is wrong, where, and what to do.

use super::{Protos, first_line, report, report_all};

/// The report on a method option of a proto.
fn of_option(option: &str) -> String {
    report(&format!(
        "package a;\nimport 'wireloom/options.proto';\nmessage M {{}}\nservice S {{\n  rpc A(M) returns (M) {{\n{option}\n  }}\n}}"
    ))
}

#[test]
fn a_policy_that_may_not_be_is_reported_at_the_field() {
    assert_eq!(
        of_option("    option (wireloom.method) = {\n      timeout: \"0s\"\n    };"),
        "\
a.proto:7:7: `timeout` must be above zero
    |
  7 |       timeout: \"0s\"
    |       ^^^^^^^^^^^^^ must be above zero, such as \"0.5s\""
    );
}

#[test]
fn each_rule_of_a_policy_has_its_message() {
    const REST: &str = "initial_backoff: '1s' max_backoff: '1s' backoff_multiplier: 2 retryable_status_codes: ABORTED";
    for (policy, expected) in [
        ("timeout: '5'", "`timeout` is no duration: \"5\""),
        (
            "timeout: '0.1234567891s'",
            "`timeout` is no duration: \"0.1234567891s\"",
        ),
        (
            "timeout: '1s' no_timeout: true",
            "a method has `timeout` or `no_timeout`, not both",
        ),
        (
            &format!("retry_policy {{ max_attempts: 1 {REST} }}"),
            "`max_attempts` must be above 1: it counts the first attempt too",
        ),
        (
            &format!("retry_policy {{ {REST} }}"),
            "`retry_policy` needs `max_attempts`",
        ),
        (
            "retry_policy { max_attempts: 2 initial_backoff: '0s' max_backoff: '1s' backoff_multiplier: 2 retryable_status_codes: ABORTED }",
            "`initial_backoff` must be above zero",
        ),
        (
            "retry_policy { max_attempts: 2 initial_backoff: '1s' max_backoff: '-1s' backoff_multiplier: 2 retryable_status_codes: ABORTED }",
            "`max_backoff` is no duration: \"-1s\"",
        ),
        (
            "retry_policy { max_attempts: 2 initial_backoff: '1s' max_backoff: '1s' backoff_multiplier: 0 retryable_status_codes: ABORTED }",
            "`backoff_multiplier` must be above zero",
        ),
        (
            "retry_policy { max_attempts: 2 initial_backoff: '1s' max_backoff: '1s' backoff_multiplier: 2 }",
            "`retry_policy` needs `retryable_status_codes`",
        ),
        (
            &format!("retry_policy {{ max_attempts: 2 {REST} retryable_status_codes: OK }}"),
            "`retryable_status_codes` cannot have OK: it is no failure",
        ),
        (
            "hedging_policy { }",
            "`hedging_policy` needs `max_attempts`",
        ),
        (
            "hedging_policy { max_attempts: 2 hedging_delay: '1' }",
            "`hedging_delay` is no duration: \"1\"",
        ),
        (
            "hedging_policy { max_attempts: 2 non_fatal_status_codes: OK }",
            "`non_fatal_status_codes` cannot have OK: it is no failure",
        ),
        (
            &format!(
                "retry_policy {{ max_attempts: 2 {REST} }} hedging_policy {{ max_attempts: 2 }}"
            ),
            "a method has `retry_policy` or `hedging_policy`, not both",
        ),
        (
            "hedging_policy { max_attempts: 2 } no_retry: true",
            "a method has `hedging_policy` or `no_retry`, not both",
        ),
    ] {
        let report = of_option(&format!("option (wireloom.method) = {{ {policy} }};"));
        let first = first_line(&report);
        assert!(
            first.starts_with("a.proto:6:") && first.ends_with(expected),
            "{report}"
        );
    }
}

#[test]
fn a_code_in_a_list_is_reported_where_it_stands() {
    let report = of_option(
        "option (wireloom.method).hedging_policy = { max_attempts: 2 non_fatal_status_codes: [ABORTED, OK] };",
    );
    assert!(
        report.starts_with("a.proto:6:95: `non_fatal_status_codes` cannot have OK"),
        "{report}"
    );
}

#[test]
fn all_that_a_policy_lacks_is_one_error() {
    let report = of_option("option (wireloom.method).retry_policy = { max_attempts: 2 };");
    assert_eq!(
        first_line(&report),
        "a.proto:6:41: `retry_policy` needs `initial_backoff`, `max_backoff`, `backoff_multiplier` and \
         `retryable_status_codes`"
    );
    assert_eq!(report.matches("a.proto:").count(), 1, "{report}");
}

#[test]
fn all_policies_that_may_not_be_are_reported_at_once() {
    let report = of_option(
        "option (wireloom.method) = { timeout: '0s' hedging_policy { max_attempts: 1 hedging_delay: 'x' } };",
    );
    let wrong: Vec<_> = report
        .lines()
        .filter(|line| line.starts_with("a.proto:"))
        .collect();
    assert_eq!(wrong.len(), 3, "{report}");
}

#[test]
fn throttling_of_one_method_is_refused() {
    let report = of_option(
        "option (wireloom.method).retry_throttling = { max_tokens: 10 token_ratio: 0.1 };",
    );
    assert_eq!(
        first_line(&report),
        "a.proto:6:45: `retry_throttling` holds for a server, and not for one method"
    );
    let proto = "syntax = 'proto3'; package a; message M {} service S { rpc A(M) returns (M); }";
    let toml = "[methods.'a.S/A']\nretry_throttling = { max_tokens = 10, token_ratio = 0.1 }";
    assert_eq!(
        first_line(&report_all(&[("a.proto", proto)], toml)),
        "wireloom.toml:2:20: `retry_throttling` holds for a server, and not for one method"
    );
}

#[test]
fn each_rule_of_throttling_has_its_message() {
    let proto = "syntax = 'proto3'; package a; message M {} service S { rpc A(M) returns (M); }";
    for (throttling, expected) in [
        (
            "max_tokens = 0, token_ratio = 1",
            "2:35: `max_tokens` must be above 0 and at most 1000",
        ),
        (
            "max_tokens = 1001, token_ratio = 1",
            "2:35: `max_tokens` must be above 0 and at most 1000",
        ),
        (
            "max_tokens = 1, token_ratio = nan",
            "2:52: `token_ratio` must be at least 0.001",
        ),
        (
            "token_ratio = 1",
            "2:20: `retry_throttling` needs `max_tokens`",
        ),
        (
            "max_tokens = 1, token_ratio = 1, ratio = 1",
            "2:55: there is no key `ratio` here",
        ),
    ] {
        let toml = format!("[packages.a]\nretry_throttling = {{ {throttling} }}");
        let Err(error) = Protos::new(&[("a.proto", proto)]).lower(&toml) else {
            panic!("{throttling} is taken")
        };
        assert_eq!(error.to_string(), format!("wireloom.toml:{expected}"));
    }
}

#[test]
fn backoffs_need_not_be_in_order() {
    let text = "syntax = 'proto3'; package a; import 'wireloom/options.proto'; message M {} service S { rpc A(M) returns (M) {
        option (wireloom.method) = { retry_policy { max_attempts: 2 initial_backoff: '2s' max_backoff: '1s' backoff_multiplier: 0.5 retryable_status_codes: ABORTED } }; } }";
    super::lower_all(&[("a.proto", text)], "");
}

#[test]
fn an_option_field_that_is_unknown_is_reported_where_it_stands() {
    let report =
        of_option("    option (wireloom.method) = {\n      // a comment\n      tiemout: \"1s\" };");
    assert!(
        report.starts_with("a.proto:8:7: field `tiemout` not found for message `wireloom.Policy`"),
        "{report}"
    );
    assert!(
        report.ends_with("help: did you mean `timeout`?"),
        "{report}"
    );
}

#[test]
fn an_option_field_that_is_unknown_by_its_path_is_reported() {
    let report = of_option("option (wireloom.method).tiemout = \"1s\";");
    assert!(
        report.starts_with("a.proto:6:1: option field `(wireloom.method).tiemout` is not defined"),
        "{report}"
    );
    assert!(
        report.ends_with("help: did you mean `timeout`?"),
        "{report}"
    );
}

#[test]
fn a_code_that_is_unknown_has_a_suggestion() {
    let report = of_option(
        "option (wireloom.method) = { hedging_policy { max_attempts: 2 non_fatal_status_codes: UNAVAILBLE } };",
    );
    assert!(
        report
            .starts_with("a.proto:6:87: value `UNAVAILBLE` was not found for enum `wireloom.Code`"),
        "{report}"
    );
    assert!(
        report.ends_with("help: did you mean `UNAVAILABLE`?"),
        "{report}"
    );
}

#[test]
fn an_option_of_the_wrong_kind_says_which_there_are() {
    let report = of_option("option (wireloom.methd) = { timeout: '1s' };");
    assert!(
        report.starts_with("a.proto:6:1: `wireloom.methd` is not defined"),
        "{report}"
    );
    assert!(
        report.contains("`(wireloom.method)`, for methods"),
        "{report}"
    );
}

#[test]
fn options_without_their_import_say_what_to_import() {
    let report = report(
        "package a; message M {} service S { option (wireloom.service) = { timeout: '1s' }; }",
    );
    assert!(
        report.contains("help: add `import \"wireloom/options.proto\";`"),
        "{report}"
    );
}

#[test]
fn a_proto_that_does_not_parse_is_reported_where_it_stops() {
    let report = report("\nmessage M {\n  string name 1;\n}");
    assert!(report.starts_with("a.proto:3:15: expected"), "{report}");
    assert!(report.contains("3 |   string name 1;"), "{report}");
}

#[test]
fn a_proto_that_ends_early_is_reported_at_its_end() {
    let report = report("\nmessage M {");
    assert!(report.starts_with("a.proto:2:12: expected"), "{report}");
}

#[test]
fn an_import_that_is_missing_says_where_it_was_looked_up() {
    let report = report("\nimport \"b/c.proto\";");
    assert!(
        report.starts_with("a.proto:2:1: import `b/c.proto` not found"),
        "{report}"
    );
    assert!(
        report.contains("help: imports are looked up in `"),
        "{report}"
    );
}

#[test]
fn a_type_that_is_missing_is_reported() {
    let report = report("\nmessage M { N n = 1; }");
    assert!(
        report.starts_with("a.proto:2:13: `N` is not defined"),
        "{report}"
    );
}

#[test]
fn every_proto_that_is_wrong_is_reported_once() {
    let report = report_all(
        &[
            ("a.proto", "syntax = 'proto3'; import 'b.proto';"),
            ("b.proto", "syntax = 'proto3'; message {}"),
            ("c.proto", "syntax = 'proto3'; enum {}"),
        ],
        "",
    );
    let files: Vec<_> = report
        .lines()
        .filter_map(|line| line.split_once(".proto:"))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(files, ["b", "c"], "{report}");
}

#[test]
fn an_import_cycle_is_reported() {
    let report = report_all(
        &[
            ("a.proto", "syntax = 'proto3'; import 'b.proto';"),
            ("b.proto", "syntax = 'proto3'; import 'a.proto';"),
        ],
        "",
    );
    assert!(report.contains("import cycle detected"), "{report}");
}

#[test]
fn methods_that_collide_name_both() {
    let report = report(
        "\nmessage M {}\nservice S {\n  rpc GetX(M) returns (M);\n  rpc get_x(M) returns (M);\n}",
    );
    assert_eq!(
        first_line(&report),
        "a.proto:5:7: method `S/get_x` and method `S/GetX` would both be `get_x` in Rust"
    );
    assert!(
        report.contains("4 |   rpc GetX(M) returns (M);"),
        "{report}"
    );
    assert!(
        report.contains(
            "help: give one another name in Rust, in wireloom.toml: `[methods.\"S/get_x\"]`"
        ),
        "{report}"
    );
}

#[test]
fn a_rust_name_is_the_way_out_of_a_collision() {
    let text = "syntax = 'proto3'; message M {} service S { rpc GetX(M) returns (M); rpc get_x(M) returns (M); }";
    super::lower_all(
        &[("a.proto", text)],
        "[methods.\"S/get_x\"]\nrust_name = 'get_x_too'",
    );
}

#[test]
fn a_service_that_collides_with_a_message_of_another_file_names_both() {
    let report = report_all(
        &[
            (
                "a.proto",
                "syntax = 'proto3'; package a; message GreeterClient {}",
            ),
            (
                "b.proto",
                "syntax = 'proto3'; package a; service Greeter {}",
            ),
        ],
        "",
    );
    assert!(
        report.starts_with(
            "b.proto:1:39: service `a.Greeter` and message `a.GreeterClient` would both be `GreeterClient` in Rust"
        ),
        "{report}"
    );
    assert!(
        report.contains("a.proto:1:39: and this one, message `a.GreeterClient`"),
        "{report}"
    );
}

#[test]
fn descriptors_that_collide_name_both() {
    let report = report(
        "message M {} service Foo { rpc BarBaz(M) returns (M); } service FooBar { rpc Baz(M) returns (M); }",
    );
    assert!(
        report.contains(
            "method `FooBar/Baz` and method `Foo/BarBaz` would both be `FOO_BAR_BAZ` in Rust"
        ),
        "{report}"
    );
}

#[test]
fn messages_fields_and_values_that_collide_name_both() {
    for (text, expected) in [
        (
            "message FooBar {} message Foo_Bar {}",
            "message `Foo_Bar` and message `FooBar` would both be `FooBar`",
        ),
        (
            "message Foo {} enum foo { Z = 0; }",
            "enum `foo` and message `Foo` would both be `Foo`",
        ),
        (
            "enum E { E_ONE = 0; ONE = 1; }",
            "enum value `E.ONE` and enum value `E.E_ONE` would both be `One`",
        ),
        (
            "message M { oneof kind { string a = 1; } string Kind = 2; }",
            "oneof `M.kind` and field `M.Kind` would both be `kind`",
        ),
    ] {
        let report = report(text);
        assert!(report.contains(expected), "{report}");
    }
}

#[test]
fn what_is_in_a_message_and_in_the_package_of_its_name_collides() {
    let report = report_all(
        &[
            (
                "x.proto",
                "syntax = 'proto3'; package x; message A { message B {} }",
            ),
            ("y.proto", "syntax = 'proto3'; package x.a; message B {}"),
        ],
        "",
    );
    assert!(
        report.contains("message `x.a.B` and message `x.A.B` would both be `B` in Rust"),
        "{report}"
    );
}

#[test]
fn a_method_without_letters_is_reported() {
    let report = report("message M {} service S { rpc _(M) returns (M); }");
    assert!(
        report.contains("`S/_` has no letter or digit to name it by in Rust"),
        "{report}"
    );
}

const GREETER: (&str, &str) = (
    "a.proto",
    "syntax = 'proto3'; package helloworld; message M {} service Greeter { rpc SayHello(M) returns (M); }",
);

#[test]
fn names_that_are_not_in_the_protos_have_a_suggestion() {
    for (toml, what, help) in [
        (
            "[packages.helloword]",
            "no package `helloword`",
            "did you mean `helloworld`?",
        ),
        (
            "[services.\"helloworld.Greter\"]",
            "no service `helloworld.Greter`",
            "did you mean `helloworld.Greeter`?",
        ),
        (
            "[methods.\"helloworld.Greeter.SayHello\"]",
            "no method `helloworld.Greeter.SayHello`",
            "did you mean `helloworld.Greeter/SayHello`?",
        ),
    ] {
        let report = report_all(&[GREETER], toml);
        assert!(
            report.starts_with("wireloom.toml:1:")
                && report.contains(what)
                && report.ends_with(help),
            "{report}"
        );
    }
}

#[test]
fn a_policy_in_the_configuration_is_judged_there() {
    let report = report_all(
        &[GREETER],
        "[packages.helloworld]\nhedging_policy = { max_attempts = 1 }",
    );
    assert!(
        report.starts_with("wireloom.toml:2:35: `max_attempts` must be above 1"),
        "{report}"
    );
}

#[test]
fn a_rust_name_must_be_one() {
    for (name, expected) in [
        ("say-hello", "`say-hello` is no name that Rust takes"),
        ("match", "`match` is no name that Rust takes"),
        ("new", "generated code needs the name `new` for itself"),
    ] {
        let toml = format!("[methods.\"helloworld.Greeter/SayHello\"]\nrust_name = '{name}'");
        let report = report_all(&[GREETER], &toml);
        assert!(
            report.starts_with("wireloom.toml:2:13: ") && report.contains(expected),
            "{report}"
        );
    }
}
