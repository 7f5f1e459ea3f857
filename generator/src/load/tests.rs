//! What is loaded from disk, and what cannot be.

use std::fs;
use std::path::PathBuf;

use prost_reflect::ReflectMessage;
use tempfile::TempDir;

use super::*;

/// A folder of files; what it returns is relative to it.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sources(&self, protos: &[&str], includes: &[&str]) -> Sources {
        Sources {
            protos: protos.iter().map(|name| self.path(name)).collect(),
            includes: includes.iter().map(|name| self.path(name)).collect(),
            ..Sources::default()
        }
    }

    fn report(&self, error: &Error) -> String {
        format!("{error:?}").replace(&format!("{}/", self.0.path().display()), "")
    }

    fn error(&self, protos: &[&str], includes: &[&str]) -> String {
        self.report(&load(&self.sources(protos, includes)).unwrap_err())
    }
}

const M: &str = "syntax = 'proto3'; message M {}";
const IMPORTS_M: &str = "syntax = 'proto3'; import 'm.proto'; message N { M m = 1; }";

#[test]
fn imports_are_generated_before_what_imports_them_and_read() {
    let folder = Folder::new(&[
        ("p/a.proto", IMPORTS_M),
        ("p/m.proto", M),
        ("p/other.proto", ""),
    ]);
    let loaded = load(&folder.sources(&["p/a.proto"], &["p"])).unwrap();
    assert_eq!(loaded.generate, ["m.proto", "a.proto"]);
    assert_eq!(
        loaded.read,
        [folder.path("p/a.proto"), folder.path("p/m.proto")]
    );
}

#[test]
fn without_include_folders_those_of_the_protos_are() {
    let folder = Folder::new(&[("p/a.proto", IMPORTS_M), ("p/m.proto", M)]);
    let loaded = load(&folder.sources(&["p/a.proto"], &[])).unwrap();
    assert_eq!(loaded.generate, ["m.proto", "a.proto"]);
}

#[test]
fn a_folder_is_all_protos_in_it_and_is_read_itself() {
    let folder = Folder::new(&[("p/b.proto", ""), ("p/q/a.proto", ""), ("p/x.txt", "")]);
    let loaded = load(&folder.sources(&["p"], &["p"])).unwrap();
    assert_eq!(loaded.generate, ["b.proto", "q/a.proto"]);
    assert!(loaded.read.contains(&folder.path("p")) && loaded.read.contains(&folder.path("p/q")));
}

#[test]
fn a_name_is_looked_up_in_the_include_folders() {
    let folder = Folder::new(&[("p/q/a.proto", "")]);
    let sources = Sources {
        protos: vec!["q/a.proto".into()],
        ..folder.sources(&[], &["p"])
    };
    assert_eq!(load(&sources).unwrap().generate, ["q/a.proto"]);
}

#[test]
fn the_same_proto_twice_is_once() {
    let folder = Folder::new(&[("p/a.proto", "")]);
    let loaded = load(&folder.sources(&["p/a.proto", "p/../p/a.proto"], &["p"])).unwrap();
    assert_eq!(loaded.generate, ["a.proto"]);
}

#[test]
fn the_options_and_the_well_known_types_need_no_folder() {
    let proto =
        "syntax = 'proto3'; import 'wireloom/options.proto'; import 'google/protobuf/any.proto';
        service S { option (wireloom.service) = { timeout: '5s' }; }";
    let folder = Folder::new(&[("a.proto", proto)]);
    let loaded = load(&folder.sources(&["a.proto"], &[])).unwrap();
    assert_eq!(loaded.generate, ["a.proto"]);
    assert_eq!(loaded.read, [folder.path("a.proto")]);
    let service = loaded.pool.get_service_by_name("S").unwrap();
    let options = service.options();
    let (_, policy) = options.extensions().next().unwrap();
    assert_eq!(
        policy.as_message().unwrap().descriptor().full_name(),
        "wireloom.Policy"
    );
}

#[test]
fn an_older_copy_of_the_options_is_not_used() {
    let folder = Folder::new(&[
        (
            "a.proto",
            "syntax = 'proto3'; import 'wireloom/options.proto'; service S { option (wireloom.service) = { timeout: '5s' }; }",
        ),
        (
            "wireloom/options.proto",
            "syntax = 'proto3'; package wireloom;",
        ),
    ]);
    assert!(load(&folder.sources(&["a.proto"], &["."])).is_ok());
}

#[test]
fn nothing_to_load_is_an_error() {
    let error = load(&Sources::default()).unwrap_err();
    assert_eq!(error.to_string(), "no protos were named");
}

#[test]
fn a_folder_without_protos_is_an_error() {
    let folder = Folder::new(&[("p/x.txt", "")]);
    assert!(
        folder
            .error(&["p"], &[])
            .starts_with("there is no .proto file in `p`")
    );
}

#[test]
fn a_proto_that_is_missing_is_an_error() {
    let folder = Folder::new(&[("p/a.proto", "")]);
    let error = folder.error(&["p/b.proto"], &["p"]);
    assert!(
        error.starts_with("there is no file `p/b.proto`\n  help: "),
        "{error}"
    );
}

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
fn an_include_folder_that_is_missing_is_an_error() {
    let folder = Folder::new(&[("p/a.proto", "")]);
    let error = folder.error(&["p/a.proto"], &["q"]);
    assert!(
        error.starts_with("there is no folder `q` to look imports up in"),
        "{error}"
    );
}

#[test]
fn a_proto_that_another_hides_is_an_error() {
    let folder = Folder::new(&[("p/a.proto", ""), ("q/a.proto", "")]);
    let error = folder.error(&["q/a.proto"], &["p", "q"]);
    assert!(
        error.starts_with("`q/a.proto` is hidden by `p/a.proto`"),
        "{error}"
    );
}

#[test]
fn a_proto_that_is_no_text_is_an_error() {
    let folder = Folder::new(&[]);
    fs::write(folder.path("a.proto"), [0xFF, 0xFE]).unwrap();
    let error = folder.error(&["a.proto"], &[]);
    assert!(
        error.starts_with("a.proto:1:1: byte 0xff is not UTF-8\n"),
        "{error}"
    );
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
fn fields_without_labels_in_proto2_are_reported_each() {
    let proto = "/* syntax */ syntax = 'proto2'; message A { string b = 1; string c = 2; }";
    let error = Folder::new(&[("a.proto", proto)]).error(&["a.proto"], &[]);
    assert_eq!(error.matches("must have a label").count(), 2, "{error}");
    assert!(!error.contains("syntax line"), "{error}");
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

/// A descriptor set as protoc and buf write it.
fn descriptor_set(folder: &Folder, protos: &[&str]) -> PathBuf {
    let loaded = load(&folder.sources(protos, &["."])).unwrap();
    let path = folder.path("set.binpb");
    fs::write(&path, loaded.pool.encode_to_vec()).unwrap();
    path
}

#[test]
fn a_descriptor_set_is_all_generated_but_what_the_runtime_has() {
    let proto = "syntax = 'proto3'; import 'm.proto'; import 'wireloom/options.proto'; service S { option (wireloom.service) = { timeout: '5s' }; }";
    let folder = Folder::new(&[("a.proto", proto), ("m.proto", M)]);
    let set = descriptor_set(&folder, &["a.proto"]);
    let loaded = load(&Sources {
        compiler: Compiler::DescriptorSet(set.clone()),
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(loaded.generate, ["m.proto", "a.proto"]);
    assert_eq!(loaded.read, [set]);
    let service = loaded.pool.get_service_by_name("S").unwrap();
    assert_eq!(service.options().extensions().count(), 1);
}

#[test]
fn the_protos_that_are_named_choose_from_a_descriptor_set() {
    let folder = Folder::new(&[("a.proto", IMPORTS_M), ("m.proto", M), ("c.proto", "")]);
    let set = descriptor_set(&folder, &["a.proto", "c.proto"]);
    let sources = Sources {
        protos: vec!["proto/a.proto".into()],
        compiler: Compiler::DescriptorSet(set),
        ..Sources::default()
    };
    assert_eq!(load(&sources).unwrap().generate, ["m.proto", "a.proto"]);
}

#[test]
fn a_proto_that_is_not_in_the_descriptor_set_has_a_suggestion() {
    let folder = Folder::new(&[("greeter.proto", "")]);
    let set = descriptor_set(&folder, &["greeter.proto"]);
    let sources = Sources {
        protos: vec!["greter.proto".into()],
        compiler: Compiler::DescriptorSet(set),
        ..Sources::default()
    };
    let error = folder.report(&load(&sources).unwrap_err());
    assert!(
        error.starts_with("there is no file `greter.proto` in the descriptor set `set.binpb`"),
        "{error}"
    );
    assert!(
        error.ends_with("help: did you mean `greeter.proto`?"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_descriptor_set_is_an_error() {
    let folder = Folder::new(&[("set.binpb", "not one")]);
    let sources = Sources {
        compiler: Compiler::DescriptorSet(folder.path("set.binpb")),
        ..Sources::default()
    };
    let error = folder.report(&load(&sources).unwrap_err());
    assert!(
        error.starts_with("`set.binpb` is no complete descriptor set\n"),
        "{error}"
    );
    assert!(error.contains("--include_imports"), "{error}");
}

#[test]
fn an_edition_is_not_supported() {
    let folder = Folder::new(&[("a.proto", "edition = '2023';")]);
    let error = folder.error(&["a.proto"], &[]);
    assert!(
        error.starts_with("a.proto:1:1: ")
            && error.contains("help: editions are not supported yet"),
        "{error}"
    );
}

#[test]
fn an_edition_in_a_descriptor_set_is_not_supported() {
    use prost_reflect::prost::Message;
    use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

    let folder = Folder::new(&[]);
    let file = FileDescriptorProto {
        name: Some("a.proto".to_owned()),
        syntax: Some("editions".to_owned()),
        ..FileDescriptorProto::default()
    };
    fs::write(
        folder.path("set.binpb"),
        FileDescriptorSet { file: vec![file] }.encode_to_vec(),
    )
    .unwrap();
    let sources = Sources {
        compiler: Compiler::DescriptorSet(folder.path("set.binpb")),
        ..Sources::default()
    };
    let error = folder.report(&load(&sources).unwrap_err());
    assert!(
        error.starts_with("a.proto: the syntax `editions` is not known"),
        "{error}"
    );
}

#[test]
fn a_protoc_that_is_missing_is_an_error() {
    let folder = Folder::new(&[("a.proto", "")]);
    let compiler = Compiler::Protoc(folder.path("protoc"));
    let error = folder.report(
        &load(&Sources {
            compiler,
            ..folder.sources(&["a.proto"], &[])
        })
        .unwrap_err(),
    );
    assert!(error.starts_with("cannot run `protoc`\n"), "{error}");
}

#[cfg(unix)]
mod with_protoc {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Loads `a.proto` with a script in the place of protoc.
    fn load_with(folder: &Folder, script: &str) -> Result<Loaded, Error> {
        let protoc = folder.path("protoc");
        fs::write(&protoc, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&protoc, fs::Permissions::from_mode(0o755)).unwrap();
        load(&Sources {
            compiler: Compiler::Protoc(protoc),
            ..folder.sources(&["a.proto"], &["."])
        })
    }

    #[test]
    fn what_protoc_writes_is_loaded() {
        let folder = Folder::new(&[("a.proto", IMPORTS_M), ("m.proto", M)]);
        let set = descriptor_set(&folder, &["a.proto"]);
        let script = format!(
            "for flag; do case $flag in --descriptor_set_out=*) cp {} ${{flag#*=}};; esac; done",
            set.display()
        );
        let loaded = load_with(&folder, &script).unwrap();
        assert_eq!(loaded.generate, ["m.proto", "a.proto"]);
        assert_eq!(loaded.read.len(), 2);
        assert_eq!(loaded.columns, Columns::TabStops);
        assert!(loaded.texts.contains_key("m.proto"));
    }

    #[test]
    fn what_protoc_finds_wrong_is_reported_at_its_place() {
        let folder = Folder::new(&[("a.proto", "syntax = 'proto3';\n\tmessage {}\n")]);
        let script = "echo 'a.proto:2:17: Expected message name.' >&2; echo 'b.proto: File not found.' >&2; exit 1";
        let error = folder.report(&load_with(&folder, script).unwrap_err());
        assert_eq!(
            error.replace("./", ""),
            "\
a.proto:2:10: Expected message name.
    |
  2 | \tmessage {}
    | \t        ^ here

b.proto: File not found."
        );
    }
}
