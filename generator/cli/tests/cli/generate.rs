//! `wireloom generate`.

use std::fs;

use crate::support::{CLOCK, Project, wireloom};

#[test]
fn what_was_written_is_said_and_nothing_is_written_twice() {
    let project = Project::clock();
    let said = project.run(&["generate"]).ok();
    assert_eq!(
        said,
        "wrote gen/clock.rs\nwrote gen/wireloom.rs\nwrote 2, unchanged 0\n\
         bring them in with: #[path = \"gen/wireloom.rs\"] pub mod proto;\n"
    );

    let written = fs::metadata(project.path().join("gen/clock.rs"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(project.run(&["generate"]).ok(), "wrote 0, unchanged 2\n");
    let again = fs::metadata(project.path().join("gen/clock.rs"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(written, again);
}

#[test]
fn protos_on_the_command_line_need_no_configuration() {
    let project = Project::empty();
    project.write("proto/clock.proto", CLOCK);
    project
        .run(&["generate", "proto/clock.proto", "--out", "src/proto"])
        .ok();
    let code = project.read("src/proto/clock.rs");
    assert!(code.contains("pub struct ClockClient") && code.contains("pub struct ClockServer"));
}

#[test]
fn the_line_that_brings_the_code_in_is_for_the_sources_of_the_package() {
    let project = Project::clock();
    let line = |out: &str| {
        let said = project.run(&["generate", "--out", out]).ok();
        said.lines().last().unwrap().to_owned()
    };
    let expected = "bring them in with: #[path = \"proto/wireloom.rs\"] pub mod proto;";
    assert_eq!(line("src/proto"), expected);

    project.write("src/Cargo.toml", "");
    project.write("src/src/lib.rs", "");
    assert_eq!(line("src/src/proto"), expected);
    let absolute = project.path().join("src/src/api/proto");
    assert!(line(absolute.to_str().unwrap()).contains("\"api/proto/wireloom.rs\""));
    assert!(line("src/beside").contains("\"../beside/wireloom.rs\""));
}

#[test]
fn imports_are_looked_up_in_the_folders_named() {
    let project = Project::empty();
    project.write(
        "protos/api/clock.proto",
        &CLOCK.replace("package clock;", "package clock;\nimport \"z/zone.proto\";"),
    );
    project.write(
        "shared/z/zone.proto",
        "syntax = \"proto3\"; package zone; message Zone {}",
    );
    let arguments = [
        "generate",
        "protos/api/clock.proto",
        "-I",
        "protos",
        "-I",
        "shared",
        "--out",
        "gen",
    ];
    project.run(&arguments).ok();
    assert!(
        project
            .files("gen")
            .keys()
            .any(|path| path.ends_with("zone.rs"))
    );
}

#[test]
fn the_configuration_is_found_in_a_folder_above() {
    let project = Project::clock();
    project.write("deep/down/x", "");
    let output = wireloom(&project.path().join("deep/down"))
        .arg("generate")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(project.path().join("gen/clock.rs").is_file());
}

#[test]
fn arguments_win_over_the_configuration() {
    let project = Project::clock();
    project
        .run(&["generate", "--out", "elsewhere", "--client-only"])
        .ok();
    let code = project.read("elsewhere/clock.rs");
    assert!(code.contains("pub struct ClockClient") && !code.contains("ClockServer"));
    project
        .run(&["generate", "--out", "elsewhere", "--server-only"])
        .ok();
    let code = project.read("elsewhere/clock.rs");
    assert!(!code.contains("pub struct ClockClient") && code.contains("pub struct ClockServer"));
    assert!(!project.path().join("gen").exists());
}

/// A project with a second proto, whose `wireloom.toml` has settings and policies for both.
fn two_protos() -> Project {
    let project = Project::empty();
    project.write(
        "proto/time/clock.proto",
        &CLOCK.replace("package clock;", "package clock;\nimport \"zone.proto\";"),
    );
    project.write(
        "proto/zone.proto",
        "syntax = \"proto3\"; package zone; message Zone {}",
    );
    project.write(
        "proto/alarm.proto",
        &CLOCK
            .replace("package clock;", "package alarm;")
            .replace("service Clock", "service Alarm"),
    );
    project.write(
        "wireloom.toml",
        "[generate]\nprotos = [\"proto\"]\nout = \"gen\"\nserver = false\n\n\
         [methods.\"clock.Clock/Now\"]\ntimeout = \"3s\"\n\n\
         [packages.alarm]\ntimeout = \"4s\"\n",
    );
    project
}

#[test]
fn a_proto_that_is_named_keeps_what_the_configuration_says_of_it() {
    let project = two_protos();
    project.run(&["generate", "proto/time/clock.proto"]).ok();
    let code = project.read("gen/clock.rs");
    assert!(code.contains("from_secs(3)"), "{code}");
    assert!(!code.contains("ClockServer"), "{code}");
    assert!(!project.path().join("gen/alarm.rs").exists());
    assert!(project.path().join("gen/zone.rs").is_file());

    let arguments = ["explain", "clock.Clock/Now", "proto/time/clock.proto"];
    let explanation = project.run(&arguments).ok();
    assert!(explanation.contains("wireloom.toml:7"), "{explanation}");

    // From a folder below, by a path from there.
    let output = wireloom(&project.path().join("proto"))
        .args(["model", "time/clock.proto"])
        .output()
        .unwrap();
    let model = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && model.contains("wireloom.toml"),
        "{model}"
    );
    assert!(!model.contains("alarm"), "{model}");
}

#[test]
fn options_win_over_the_configuration_of_a_proto_that_is_named() {
    let project = two_protos();
    // It hides one of the configuration's protos of the same name.
    project.write(
        "other/alarm.proto",
        "syntax = \"proto3\"; package other; message Other {}",
    );
    project
        .run(&["generate", "other/alarm.proto", "--out", "elsewhere"])
        .ok();
    assert!(project.path().join("elsewhere/other.rs").is_file());
    assert!(!project.path().join("gen").exists());
}

#[test]
fn names_are_checked_where_the_configuration_lists_no_protos() {
    let project = Project::clock();
    project.write(
        "wireloom.toml",
        "[services.\"clock.Clok\"]\ntimeout = \"1s\"\n",
    );
    let error = project
        .run(&["generate", "clock.proto", "--out", "gen"])
        .failed();
    assert!(error.contains("`clock.Clock`"), "{error}");
}

#[test]
fn tonic_stubs_are_written_on_request() {
    let project = Project::clock();
    project.run(&["generate", "--stubs", "tonic"]).ok();
    assert!(
        project
            .read("gen/clock.rs")
            .contains("pub mod clock_client")
    );
}

#[test]
fn check_writes_nothing_and_exits_with_1_and_a_diff() {
    let project = Project::clock();
    let ended = project.run(&["generate", "--check"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!project.path().join("gen").exists());

    project.run(&["generate"]).ok();
    assert_eq!(project.run(&["generate", "--check"]).ok(), "up to date\n");

    project.write(
        "clock.proto",
        &CLOCK.replace("int64 seconds", "int32 seconds"),
    );
    let before = project.files("gen");
    let ended = project.run(&["generate", "--check"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for line in [
        "\n-    pub seconds: i64,",
        "\n+    pub seconds: i32,",
        "1 file is out of date",
    ] {
        assert!(
            ended.stdout.contains(line),
            "{line:?} is not in:\n{}",
            ended.stdout
        );
    }
    assert_eq!(project.files("gen"), before);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let project = Project::clock();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = wireloom(project.path())
        .arg("model")
        .stdout(writer)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
