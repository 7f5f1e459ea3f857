//! Bad input: what is wrong, where, and what to do; exit code 1; what was generated before stays as it was.

use crate::support::{CLOCK, CLOCK_TOML, Project};

/// Generates, breaks something, generates again; returns what standard error says.
#[track_caller]
fn generate_after(break_it: impl FnOnce(&Project)) -> String {
    let project = Project::clock();
    project.run(&["generate"]).ok();
    let before = project.files("gen");
    break_it(&project);
    let error = project.run(&["generate"]).failed();
    assert_eq!(project.files("gen"), before, "{error}");
    error
}

#[track_caller]
fn assert_says(error: &str, expected: &[&str]) {
    for expected in expected {
        assert!(error.contains(expected), "{expected:?} is not in:\n{error}");
    }
}

#[test]
fn a_proto_that_does_not_parse() {
    let error = generate_after(|project| {
        project.write("clock.proto", &CLOCK.replace("rpc Now(", "rpc Now["));
    });
    assert_says(&error, &["clock.proto:8:10: "]);
}

#[test]
fn an_import_that_is_not_found() {
    let error = generate_after(|project| {
        let import = "package clock;\nimport \"zone.proto\";";
        project.write("clock.proto", &CLOCK.replace("package clock;", import));
    });
    assert_says(&error, &["clock.proto:4:1: ", "zone.proto", "help: "]);
}

#[test]
fn a_proto_that_is_not_found() {
    let error = generate_after(|project| {
        project.write(
            "wireloom.toml",
            &CLOCK_TOML.replace("clock.proto", "clok.proto"),
        );
    });
    assert_says(&error, &["clok.proto", "help: "]);
}

#[test]
fn a_service_that_no_proto_has() {
    let error = generate_after(|project| {
        let policy = "[services.\"clock.Clok\"]\ntimeout = \"1s\"\n";
        project.write("wireloom.toml", &format!("{CLOCK_TOML}\n{policy}"));
    });
    assert_says(&error, &["wireloom.toml:5:", "clock.Clok", "`clock.Clock`"]);
}

#[test]
fn a_package_that_no_proto_has() {
    let error = generate_after(|project| {
        let policy = "[packages.clok]\ntimeout = \"1s\"\n";
        project.write("wireloom.toml", &format!("{CLOCK_TOML}\n{policy}"));
    });
    assert_says(&error, &["wireloom.toml:5:", "clok", "`clock`"]);
}

#[test]
fn an_unknown_key() {
    let error = generate_after(|project| {
        project.write("wireloom.toml", &CLOCK_TOML.replace("out =", "outt ="));
    });
    assert_says(&error, &["wireloom.toml:3:1: ", "outt"]);
}

#[test]
fn a_template_with_an_error() {
    let error = generate_after(|project| {
        project.write(
            "templates/client.rs.tera",
            "// a client\n{{ service.rust_nam }}\n",
        );
        project.write(
            "wireloom.toml",
            &format!("{CLOCK_TOML}templates = \"templates\"\n"),
        );
    });
    assert_says(&error, &["client.rs.tera:2:", "rust_nam"]);
}

#[test]
fn an_unknown_option_field() {
    let error = generate_after(|project| {
        let import = "package clock;\nimport \"wireloom/options.proto\";";
        let option = "returns (Time) {\n    option (wireloom.method) = { timeoout: \"1s\" };\n  }";
        let proto = CLOCK
            .replace("package clock;", import)
            .replace("returns (Time);", option);
        project.write("clock.proto", &proto);
    });
    assert_says(&error, &["clock.proto:10:", "timeoout"]);
}

#[test]
fn a_policy_that_cannot_be() {
    let error = generate_after(|project| {
        let import = "package clock;\nimport \"wireloom/options.proto\";";
        let option = "returns (Time) {\n    option (wireloom.method) = { timeout: \"soon\" };\n  }";
        let proto = CLOCK
            .replace("package clock;", import)
            .replace("returns (Time);", option);
        project.write("clock.proto", &proto);
    });
    assert_says(&error, &["clock.proto:10:", "soon"]);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    // A file stands where a folder would have to be; permissions would not stop root.
    let error = generate_after(|project| {
        project.write(
            "wireloom.toml",
            &CLOCK_TOML.replace("\"gen\"", "\"clock.proto/gen\""),
        );
    });
    assert_says(&error, &["clock.proto/gen", "help: "]);
}

#[test]
fn what_is_not_text() {
    let project = Project::empty();
    std::fs::write(project.path().join("a.proto"), b"\xff\xfe\x00").unwrap();
    let error = project
        .run(&["generate", "a.proto", "--out", "gen"])
        .failed();
    assert_says(&error, &["a.proto"]);
}

#[test]
fn nothing_to_read() {
    let error = Project::empty().run(&["generate"]).failed();
    assert_says(
        &error,
        &["there is no wireloom.toml", "help: name the protos"],
    );
}

#[test]
fn a_usage_error_exits_with_2() {
    let ended = Project::empty().run(&["generate", "--nonsense"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = Project::clock().run(&["generate", "--client-only", "--server-only"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
