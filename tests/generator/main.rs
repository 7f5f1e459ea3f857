//! The generator as a library: what it reads, writes and leaves alone.

mod authorization;
mod service_configs;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;
use wireloom_build::{Builder, Sides, Stubs};

const COMMON: &str = "
syntax = \"proto3\";
package common;
message Id { string value = 1; }
";

const CLOCK: &str = "
syntax = \"proto3\";
package clock;
import \"common.proto\";
service Clock { rpc Now(common.Id) returns (Time); }
message Time { int64 seconds = 1; }
";

/// A project with a proto that imports another.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        project.write("clock.proto", CLOCK);
        project.write("common.proto", COMMON);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the project")).expect("it is writable");
        fs::write(path, text).expect("it is writable");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it was written")
    }

    fn builder(&self) -> Builder {
        wireloom_build::builder()
            .proto(self.path("clock.proto"))
            .include(self.0.path())
            .out_dir(self.path("gen"))
    }
}

fn modified(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).expect("the file is there");
    metadata.modified().expect("the platform knows")
}

#[test]
fn a_second_run_touches_nothing() {
    let project = Project::new();
    let first = project.builder().generate().expect("the protos are right");
    let names = ["clock.rs", "common.rs", "wireloom.rs"].map(|name| project.path("gen").join(name));
    assert_eq!(first.written, names);
    let times = names.each_ref().map(|path| modified(path));

    let second = project.builder().generate().expect("the protos are right");
    assert_eq!(second.unchanged, names);
    assert!(second.written.is_empty() && second.removed.is_empty());
    assert_eq!(names.each_ref().map(|path| modified(path)), times);
}

#[test]
fn every_file_that_was_read_is_reported() {
    let project = Project::new();
    project.write("templates/client.rs.tera", "");
    project.write(
        "wireloom.toml",
        "[generate]\nprotos = [\"clock.proto\"]\ntemplates = \"templates\"\nout = \"gen\"\n",
    );
    let builder = wireloom_build::builder().config(project.path("wireloom.toml"));
    let report = builder.generate().expect("all is right");
    for name in [
        "wireloom.toml",
        "clock.proto",
        "common.proto",
        "templates",
        "templates/client.rs.tera",
    ] {
        assert!(
            report.read.contains(&project.path(name)),
            "{name} is not in {:?}",
            report.read
        );
    }
}

#[test]
fn a_service_config_is_read_with_the_protos_and_sets_policies() {
    let project = Project::new();
    let config = |timeout: &str| {
        let name = r#"{"service": "clock.Clock", "method": "Now"}"#;
        format!(r#"{{"methodConfig": [{{"name": [{name}], "timeout": "{timeout}"}}]}}"#)
    };
    let path = project.path("clock_grpc_service_config.json");
    let builder = || project.builder().service_config(&path);
    project.write("clock_grpc_service_config.json", &config("3s"));
    let report = builder().generate().expect("all is right");
    assert!(report.read.contains(&path), "{:?}", report.read);
    let code = project.read("gen/clock.rs");
    assert!(code.contains("Duration::from_secs(3)"), "{code}");
    assert!(builder().check().expect("all is right").is_empty());

    project.write("clock_grpc_service_config.json", &config("4s"));
    let drift = builder().check().expect("all is right");
    let drifted: Vec<_> = drift.paths().collect();
    assert_eq!(drifted, [project.path("gen/clock.rs")]);
}

#[test]
fn an_error_leaves_the_earlier_output() {
    let project = Project::new();
    project.builder().generate().expect("the protos are right");
    let before = project.read("gen/common.rs");
    project.write("common.proto", &COMMON.replace("value", "other"));
    project.write("clock.proto", &CLOCK.replace("Time)", "Tine)"));
    let error = project.builder().generate().expect_err("there is no Tine");
    assert!(error.to_string().contains("Tine"), "{error}");
    assert_eq!(project.read("gen/common.rs"), before);
}

#[test]
fn a_proto_that_is_not_utf_8_is_an_error_at_its_first_bad_byte() {
    let project = Project::new();
    let text = [COMMON.as_bytes(), b"// \xc3\xa9t\xe9, in Latin-1\n"].concat();
    let path = project.path("common.proto");
    fs::write(&path, text).expect("it is writable");
    let error = project.builder().generate().expect_err("0xe9 is no UTF-8");
    let place = format!("{}:5:6", path.display());
    assert_eq!(
        error.to_string(),
        format!("{place}: byte 0xe9 is not UTF-8")
    );
    assert!(
        format!("{error:?}").contains("save the file in that encoding"),
        "{error:?}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let project = Project::new();
    project.write("gen", "a file, and no folder");
    let error = project.builder().generate().expect_err("gen is a file");
    assert!(error.to_string().contains("cannot write to"), "{error}");
    assert_eq!(project.read("gen"), "a file, and no folder");
}

#[test]
fn a_file_that_somebody_else_wrote_is_an_error() {
    let project = Project::new();
    project.builder().generate().expect("the protos are right");
    let before = project.read("gen/common.rs");
    project.write("common.proto", &COMMON.replace("value", "other"));
    project.write("gen/clock.rs", "// by hand\n");

    let errors = [
        project.builder().generate().map(drop),
        project.builder().check().map(drop),
    ];
    for error in errors.map(|result| result.expect_err("clock.rs is in the way")) {
        let report = format!("{error:?}");
        let path = project.path("gen/clock.rs").display().to_string();
        assert!(
            report.starts_with(&format!("`{path}` is in the way")),
            "{report}"
        );
        assert!(
            report.contains("--out") && report.contains("remove the file"),
            "{report}"
        );
    }
    assert_eq!(project.read("gen/clock.rs"), "// by hand\n");
    assert_eq!(project.read("gen/common.rs"), before);

    fs::remove_file(project.path("gen/clock.rs")).expect("it is there");
    project.builder().generate().expect("nothing is in the way");
}

#[test]
fn a_folder_where_a_file_goes_leaves_the_earlier_output() {
    let project = Project::new();
    project.builder().generate().expect("the protos are right");
    let before = project.read("gen/clock.rs");
    project.write("clock.proto", &CLOCK.replace("seconds", "nanos"));
    fs::remove_file(project.path("gen/wireloom.rs")).expect("it is there");
    project.write("gen/wireloom.rs/file", "");

    let errors = [
        project.builder().generate().map(drop),
        project.builder().check().map(drop),
    ];
    for error in errors.map(|result| result.expect_err("wireloom.rs is a folder")) {
        assert!(
            error
                .to_string()
                .ends_with("wireloom.rs` is in the way: it is a folder"),
            "{error}"
        );
    }
    assert_eq!(project.read("gen/clock.rs"), before);
    let files = fs::read_dir(project.path("gen")).expect("it is there");
    assert_eq!(files.count(), 3, "no temporary file is left");
}

#[test]
fn check_sees_what_generate_would_change() {
    let project = Project::new();
    let drift = project.builder().check().expect("the protos are right");
    assert_eq!(drift.paths().count(), 3, "nothing is there yet");
    assert!(!project.path("gen").exists(), "check writes nothing");

    project.builder().generate().expect("the protos are right");
    assert!(
        project
            .builder()
            .check()
            .expect("the protos are right")
            .is_empty()
    );

    project.write("clock.proto", &CLOCK.replace("seconds", "nanos"));
    let drift = project
        .builder()
        .check()
        .expect("the protos are right")
        .to_string();
    assert!(
        drift.contains("-    pub seconds: i64,\n+    pub nanos: i64,\n"),
        "{drift}"
    );
}

#[test]
fn the_file_of_a_package_that_is_gone_is_removed() {
    let project = Project::new();
    project.builder().generate().expect("the protos are right");
    project.write("gen/mod.rs", "// by hand\n");
    project.write(
        "clock.proto",
        &CLOCK
            .replace("import \"common.proto\";", "")
            .replace("common.Id", "Time"),
    );
    let stale = project.path("gen/common.rs");
    assert!(
        project
            .builder()
            .check()
            .expect("it is right")
            .paths()
            .any(|path| path == stale)
    );
    assert_eq!(
        project.builder().generate().expect("it is right").removed,
        [stale]
    );
    assert_eq!(project.read("gen/mod.rs"), "// by hand\n");
}

#[test]
fn stubs_use_the_types_of_another_crate() {
    let project = Project::new();
    let builder = project.builder().prost(|config| {
        config.extern_path(".common", "::shared::common");
    });
    builder.generate().expect("the protos are right");
    let stubs = project.read("gen/clock.rs");
    assert!(
        stubs.contains("::wireloom::Method<::shared::common::Id, Time>"),
        "{stubs}"
    );
    assert!(!project.path("gen/common.rs").exists());
}

#[test]
fn sides_leave_out_what_is_not_asked_for() {
    let project = Project::new();
    let stubs = |sides| {
        project
            .builder()
            .sides(sides)
            .generate()
            .expect("the protos are right");
        let text = project.read("gen/clock.rs");
        ["CLOCK_NOW", "struct ClockClient", "trait Clock"].map(|name| text.contains(name))
    };
    assert_eq!(stubs(Sides::Both), [true, true, true]);
    assert_eq!(stubs(Sides::Client), [true, true, false]);
    assert_eq!(stubs(Sides::Server), [true, false, true]);
    assert_eq!(stubs(Sides::Neither), [false, false, false]);
}

#[test]
fn mocks_are_written_on_request() {
    let project = Project::new();
    let has_mock = |builder: Builder| {
        builder.generate().expect("the protos are right");
        project.read("gen/clock.rs").contains("struct ClockMock")
    };
    project.write("wireloom.toml", "[generate]\nmocks = true\n");
    let by_file = || project.builder().config(project.path("wireloom.toml"));
    assert!(!has_mock(project.builder()));
    assert!(has_mock(project.builder().mocks(true)));
    assert!(has_mock(by_file()));
    assert!(!has_mock(by_file().mocks(false)));
}

#[test]
fn mocks_need_both_sides_of_wireloom_s_own_stubs() {
    let project = Project::new();
    let error = |builder: Builder| {
        let error = builder.mocks(true).generate();
        error.expect_err("there can be no mocks").to_string()
    };
    assert_eq!(
        error(project.builder().sides(Sides::Client)),
        "mocks need clients and servers"
    );
    assert_eq!(
        error(project.builder().stubs(Stubs::Tonic)),
        "tonic's stubs have no mocks"
    );
}

#[test]
fn the_descriptors_of_the_runtime_s_own_services_are_those_of_its_protos() {
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime");
    let protos = runtime.join("proto");
    wireloom_build::builder()
        .proto(&protos)
        .include(&protos)
        .descriptors(true)
        .out_dir(out.path())
        .generate()
        .expect("the protos are right");
    let read = |path: PathBuf| fs::read_to_string(path).expect("it is there");
    let ours = read(runtime.join("src/reflection/descriptors.rs"));
    assert_eq!(ours, read(out.path().join("wireloom-descriptors.rs")));
}
