//! Errors that say what was probably meant.

use super::*;

#[test]
fn a_proto_outside_of_the_include_folders_says_which_to_add() {
    let folder = Folder::new(&[("p/a.proto", ""), ("q/b.proto", "")]);
    let error = folder.error(&["q/b.proto"], &["p"]);
    assert!(
        error.starts_with("`q/b.proto` is in no include folder\n"),
        "{error}"
    );
    assert!(error.ends_with("such as `q`"), "{error}");
}

#[test]
fn a_well_known_type_without_its_import_says_what_to_import() {
    // With and without another import of its package, for which protox has other messages.
    for (imports, name, file) in [
        ("", "google.protobuf.Timestamp", "timestamp"),
        ("", "google.protobuf.StringValue", "wrappers"),
        ("", ".google.protobuf.Empty", "empty"),
        (
            "import 'google/protobuf/duration.proto'; ",
            "google.protobuf.Timestamp",
            "timestamp",
        ),
        (
            "import 'google/protobuf/duration.proto'; ",
            "google.protobuf.NullValue",
            "struct",
        ),
    ] {
        let proto =
            format!("syntax = 'proto3'; package a; {imports}message A {{\n  {name} a = 1;\n}}");
        let folder = Folder::new(&[("a.proto", &proto)]);
        let error = folder.error(&["a.proto"], &[]);
        assert!(
            error.starts_with(&format!("a.proto:2:3: `{name}` is not defined\n")),
            "{error}"
        );
        assert!(
            error.ends_with(&format!(
                "help: add `import \"google/protobuf/{file}.proto\";`: it needs no include folder"
            )),
            "{error}"
        );
    }
}

#[test]
fn a_name_like_a_well_known_type_has_a_suggestion() {
    let proto = "syntax = 'proto3'; message A { google.protobuf.TimeStamp a = 1; }";
    let error = Folder::new(&[("a.proto", proto)]).error(&["a.proto"], &[]);
    assert!(
        error.ends_with("help: did you mean `google.protobuf.Timestamp`?"),
        "{error}"
    );
}

#[test]
fn a_type_that_is_not_defined_has_a_suggestion() {
    let imported = "syntax = 'proto3'; package b; import public 'c.proto'; message Person { enum Kind { NONE = 0; } }";
    let public = "syntax = 'proto3'; package c; message Address {}";
    for (name, suggestion) in [
        ("Usr", "did you mean `User`?"),
        ("strin", "did you mean `string`?"),
        ("Person", "did you mean `b.Person`?"),
        ("b.Persn", "did you mean `b.Person`?"),
        ("Persn", "did you mean `b.Person`?"),
        ("Kind", "did you mean `b.Person.Kind`?"),
        ("Adress", "did you mean `c.Address`?"),
        (
            "Timestamp",
            "did you mean `google.protobuf.Timestamp`? add `import \"google/protobuf/timestamp.proto\";`: it needs no include folder",
        ),
        (
            "Frobnicator",
            "declare `Frobnicator`, or import the file that does",
        ),
    ] {
        let proto = format!(
            "syntax = 'proto3'; package a; import 'b.proto';\nmessage User {{ {name} a = 1; map<string, string> m = 2; }}"
        );
        let folder = Folder::new(&[
            ("a.proto", &proto),
            ("b.proto", imported),
            ("c.proto", public),
        ]);
        let error = folder.error(&["a.proto"], &[]);
        assert!(error.ends_with(&format!("help: {suggestion}")), "{error}");
    }
}

#[test]
fn a_type_of_a_file_that_is_not_imported_says_what_to_import() {
    let folder = Folder::new(&[
        ("a.proto", "syntax = 'proto3'; message N { M m = 1; }"),
        ("m.proto", M),
    ]);
    let error = folder.error(&["m.proto", "a.proto"], &[]);
    assert!(
        error.ends_with("help: add `import \"m.proto\";`: `M` is defined there"),
        "{error}"
    );
}

#[test]
fn a_proto_that_is_missing_has_a_suggestion() {
    let folder = Folder::new(&[
        ("proto/greeter.proto", ""),
        ("proto/v1/clock.proto", ""),
        ("proto/x.txt", ""),
    ]);
    for (missing, suggestion) in [
        ("proto/greter.proto", Some("proto/greeter.proto")),
        ("proto/clock.proto", Some("proto/v1/clock.proto")),
        ("protos/greeter.proto", Some("proto/greeter.proto")),
        ("proto/x.proto", None),
    ] {
        let error = folder.error(&[missing], &["proto"]);
        let did_you_mean = suggestion.map(|known| format!("help: did you mean `{known}`?\n"));
        match did_you_mean {
            Some(help) => assert!(error.contains(&help), "{error}"),
            None => assert!(!error.contains("did you mean"), "{error}"),
        }
    }
}

#[test]
fn an_import_that_is_relative_to_a_folder_above_names_the_folder() {
    let folder = Folder::new(&[
        (
            "p/q/a.proto",
            "syntax = 'proto3'; import 'q/m.proto'; message N { M m = 1; }",
        ),
        ("p/q/m.proto", M),
    ]);
    let error = folder.error(&["p/q/a.proto"], &[]);
    let p = folder.path("p").display().to_string();
    let p = p.rsplit('/').next().unwrap();
    assert!(
        error.ends_with(&format!(
            "help: imports are looked up in `p/q`; there is a `q/m.proto` in `{p}`: add that folder,
        with `-I {p}`, with `includes` in wireloom.toml, or with `.include(\"{p}\")` in build.rs"
        )),
        "{error}"
    );
}
