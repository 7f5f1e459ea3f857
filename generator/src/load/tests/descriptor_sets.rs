//! Descriptor sets in place of protos.

use std::fs;

use super::*;

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
