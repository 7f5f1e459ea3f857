//! `wireloom new`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ended, Project, checkout, files, wireloom};

#[test]
fn the_greeter_example_is_what_new_writes() {
    let project = Project::empty();
    project.run(&["new", "greeter"]).ok();
    let mut written = project.files("greeter");
    let mut example = files(&checkout().join("examples/greeter"));
    for files in [&mut written, &mut example] {
        let manifest = files.get_mut(Path::new("Cargo.toml")).unwrap();
        *manifest = without_paths(manifest);
    }
    let help = "run `wireloom new greeter` and take over what it writes, but for the paths of dependencies";
    assert!(written.keys().eq(example.keys()), "{help}");
    for (path, text) in &written {
        assert_eq!(text, &example[path], "{}: {help}", path.display());
    }
}

fn without_paths(manifest: &str) -> String {
    manifest
        .lines()
        .map(|line| {
            line.split_once("path = ")
                .map_or(line, |(before, _)| before)
                .to_owned()
                + "\n"
        })
        .collect()
}

#[test]
fn it_says_what_was_written_and_what_the_project_depends_on() {
    let said = Project::empty().run(&["new", "greeter"]).ok();
    assert!(said.starts_with("wrote 13 files to greeter\n"), "{said}");
    assert!(
        said.contains(&format!(
            "the checkout of Wireloom in {}",
            checkout().display()
        )),
        "{said}"
    );
    assert!(said.ends_with("next: cd greeter && cargo run\n"), "{said}");
}

#[test]
fn a_name_that_cargo_would_refuse_is_refused_and_nothing_written() {
    for name in ["1st", "match", "a b", "wireloom", "grüße", "a/b"] {
        let project = Project::empty();
        let error = project.run(&["new", name]).failed();
        assert!(error.contains("cannot be the name of a package"), "{error}");
        assert!(project.files(".").is_empty());
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let project = Project::empty();
    project.write("greeter/mine", "precious");
    let error = project.run(&["new", "greeter"]).failed();
    assert!(error.contains("greeter exists and is not empty"), "{error}");
    assert_eq!(project.files("greeter").len(), 1);

    project.write("a-file", "");
    let error = project
        .run(&["new", "greeter", "--path", "a-file"])
        .failed();
    assert!(
        error.contains("a-file exists and is not a folder"),
        "{error}"
    );
}

#[test]
fn an_empty_folder_and_a_path_of_ones_own_will_do() {
    let project = Project::empty();
    fs::create_dir(project.path().join("here")).unwrap();
    project
        .run(&["new", "order-service", "--path", "here"])
        .ok();
    assert!(
        project
            .read("here/Cargo.toml")
            .contains("name = \"order-service\"")
    );
    assert!(
        project
            .read("here/src/bin/client.rs")
            .contains("use order_service::")
    );
    project.run(&["new", "greeter", "--path", "a/b/c"]).ok();
    assert!(project.path().join("a/b/c/proto/greeter.proto").is_file());
}

#[test]
fn it_joins_a_workspace_that_lists_it_and_no_other() {
    let project = Project::empty();
    project.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"services/*\"]\nresolver = \"3\"\n",
    );
    let said = project
        .run(&["new", "greeter", "--path", "services/greeter"])
        .ok();
    assert!(!said.contains("workspace"), "{said}");
    let said = project
        .run(&["new", "greeter", "--path", "elsewhere/greeter"])
        .ok();
    assert!(
        said.contains("\nit is a workspace of its own") && said.contains("`members`"),
        "{said}"
    );
    assert!(
        !project
            .read("services/greeter/Cargo.toml")
            .contains("[workspace]")
    );
    assert!(
        project
            .read("elsewhere/greeter/Cargo.toml")
            .contains("\n[workspace]\n")
    );
}

/// One project stands for all: a name with a dash, inside the folder of another workspace.
#[test]
fn a_new_project_builds_runs_and_passes_its_tests() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\n",
    )
    .unwrap();
    let project = folder.path().join("order-service");
    let output = wireloom(folder.path())
        .args(["new", "order-service"])
        .output()
        .unwrap();
    Ended::from(output).ok();
    // The versions that this workspace was tested with, so that nothing new is fetched.
    fs::copy(checkout().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();

    let said = cargo(&project, &["run", "--quiet"]).ok();
    let expected = [
        "SayHello: Hello, Ann!",
        "SayHelloStream: Bonjour, Ann!",
        "RecordHellos: 3 people: Ann, Bob, Cleo",
        "Chat: Hello, Cleo!",
        "DeadlineExceeded: ",
        "previous-rpc-attempts=2",
        "trace_id=",
        "SayHello: Hello, Late Riser!",
        "shut down; calls cut off: 0",
    ];
    for expected in expected {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    for arguments in [
        ["client", "nowhere"],
        ["server", "unix:/no/such/folder/a.sock"],
    ] {
        let [program, address] = arguments;
        let ended = cargo(
            &project,
            &["run", "--quiet", "--bin", program, "--", address],
        );
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let error = ended.stderr.strip_prefix("error: ");
        assert!(
            error.is_some_and(|error| error.lines().count() == 1),
            "{ended:?}"
        );
    }
    let mut server = command(&project, &["run", "--quiet", "--bin", "server"]);
    let ended = server
        .env("WIRELOOM_SERVER_LISTEN", "unix:/no/such/folder/b.sock")
        .output()
        .unwrap();
    let ended = Ended::from(ended);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.starts_with("error: ")
            && ended.stderr.contains("/no/such/folder/b.sock")
            && !ended.stderr.contains("code:"),
        "{ended:?}"
    );
    // What is wrong with a setting, `serve` finds: nothing says before that it serves.
    let mut server = command(&project, &["run", "--quiet", "--bin", "server"]);
    let ended = server
        .env("WIRELOOM_SERVER_LISTEN", "127.0.0.1:0")
        .env("WIRELOOM_SERVER_MAX_CONNECTIONS", "0")
        .output()
        .unwrap();
    let ended = Ended::from(ended);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("max_connections is 0")
            && !ended.stdout.contains("serving")
            && !ended.stdout.contains("listening"),
        "{ended:?}"
    );
    cargo(&project, &["test", "--quiet"]).ok();
}

/// Runs Cargo in a project, with a target folder that the next run of this test finds warm.
fn cargo(project: &Path, arguments: &[&str]) -> Ended {
    command(project, arguments).output().unwrap().into()
}

fn command(project: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(project).env(
        "CARGO_TARGET_DIR",
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("target"),
    );
    command
}
