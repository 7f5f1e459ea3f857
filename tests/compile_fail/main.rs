//! Code that must not compile, and what the compiler must say of it.
//!
//! Each folder here is a case: `case.rs`, and in `error.txt` what has to be among the compiler's words, a line each. Not
//! all of its words: those change from release to release. The compiler is called on its own, with the runtime that
//! this test is linked to, so that a case takes a second and nothing is built again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn missing_handler_method() {
    fails("missing_handler_method");
}

#[test]
fn wrong_message_type_in_a_handler() {
    fails("wrong_message_type");
}

#[test]
fn wrong_message_type_in_a_call() {
    fails("wrong_request");
}

#[test]
fn code_from_a_newer_generator() {
    fails("newer_generator");
}

#[test]
fn invalid_policy_in_a_descriptor() {
    fails("invalid_policy");
}

#[test]
fn a_complete_handler_compiles() {
    let (compiled, output) = compile("complete");
    assert!(compiled, "{output}");
}

fn fails(case: &str) {
    let (compiled, output) = compile(case);
    assert!(!compiled, "{case} compiles");
    let expected =
        fs::read_to_string(folder(case).join("error.txt")).expect("the case has an error.txt");
    assert!(!expected.trim().is_empty());
    for line in expected.lines() {
        assert!(output.contains(line), "{line:?} is not in:\n{output}");
    }
}

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("compile_fail")
        .join(case)
}

fn compile(case: &str) -> (bool, String) {
    let deps = env::current_exe().expect("a test knows where it is");
    let deps = deps.parent().expect("a file is in a folder");
    let out = tempfile::tempdir().expect("there is a folder for temporary files");
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--color",
            "never",
        ])
        .arg("--out-dir")
        .arg(out.path())
        .arg("--extern")
        .arg(format!("wireloom={}", runtime(deps).display()))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg(folder(case).join("case.rs"))
        .output()
        .expect("rustc runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The runtime that Cargo built last among those beside this test.
fn runtime(deps: &Path) -> PathBuf {
    let libraries = fs::read_dir(deps).expect("the folder of this test can be read");
    libraries
        .map(|library| library.expect("the folder can be read").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libwireloom-") && name.ends_with(".rlib")
        })
        .max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
        .expect("the runtime is among this test's dependencies")
}
