//! `wireloom protos export`: what compilers of other languages need.

use std::fs;

use crate::support::{Project, checkout};

const CARRIED: [&str; 3] = [
    "wireloom/options.proto",
    "buf/validate/validate.proto",
    "google/api/field_behavior.proto",
];

#[test]
fn the_protos_that_the_generator_carries_are_written_out() {
    let project = Project::empty();
    let said = project.run(&["protos", "export", "a/carried"]).ok();
    assert!(said.contains("wrote 3, unchanged 0"), "{said}");
    assert!(said.contains("protoc -I a/carried"), "{said}");
    for name in CARRIED {
        let published = fs::read_to_string(checkout().join("generator/proto").join(name));
        let written = project.read(&format!("a/carried/{name}"));
        assert_eq!(written, published.unwrap());
    }
    let said = project.run(&["protos", "export", "a/carried"]).ok();
    assert!(said.contains("wrote 0, unchanged 3"), "{said}");
}

#[test]
fn changed_protos_are_overwritten_by_force_alone() {
    let project = Project::empty();
    project.run(&["protos", "export", "carried"]).ok();
    project.write("carried/wireloom/options.proto", "mine");
    let error = project.run(&["protos", "export", "carried"]).failed();
    assert!(
        error.contains("wireloom/options.proto") && error.contains("--force"),
        "{error}"
    );
    project
        .run(&["protos", "export", "carried", "--force"])
        .ok();
    assert_ne!(project.read("carried/wireloom/options.proto"), "mine");
}
