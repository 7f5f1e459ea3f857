//! What is loaded from disk, and what cannot be.

mod descriptor_sets;
mod suggestions;

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

/// A descriptor set as protoc and buf write it.
fn descriptor_set(folder: &Folder, protos: &[&str]) -> PathBuf {
    let loaded = load(&folder.sources(protos, &["."])).unwrap();
    let path = folder.path("set.binpb");
    fs::write(&path, loaded.pool.encode_to_vec()).unwrap();
    path
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
fn fields_without_labels_in_proto2_are_reported_each() {
    let proto = "/* syntax */ syntax = 'proto2'; message A { string b = 1; string c = 2; }";
    let error = Folder::new(&[("a.proto", proto)]).error(&["a.proto"], &[]);
    assert_eq!(error.matches("must have a label").count(), 2, "{error}");
    assert!(!error.contains("syntax line"), "{error}");
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
