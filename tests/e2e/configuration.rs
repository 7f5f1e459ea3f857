//! Settings from `wireloom.toml` and the environment, in a process of its own: both belong to the whole process.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use wireloom::Server;
use wireloom::server::{Listener, Listeners};

use crate::events::Events;

/// Where a child says that it ran.
const RAN: &str = "TEST_RAN";

#[test]
fn a_server_is_configured_by_the_working_folder_and_the_environment_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[server]\nmax_connection_age = \"2h\"\nlame_duck_time = \"1s\"\n";
    std::fs::write(folder.path().join("wireloom.toml"), file).unwrap();
    run_child("child_is_configured", &folder);
}

#[test]
fn a_server_without_a_file_says_where_it_looked_for_one() {
    let folder = tempfile::tempdir().unwrap();
    run_child("child_has_no_file", &folder);
}

#[tokio::test]
async fn a_server_that_is_mounted_shows_its_settings_too() {
    let (events, _guard) = Events::listen();
    let server = Server::builder().shutdown_timeout(Duration::from_secs(10));
    let _service = server.into_service().unwrap();
    let shown = events.with("settings=");
    assert_eq!(shown.len(), 1, "{shown:#?}");
    assert!(
        shown[0].contains("shutdown_timeout=10s (code)"),
        "{shown:#?}"
    );
}

fn run_child(test: &str, folder: &TempDir) {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("configuration::{test}")])
        .current_dir(folder.path())
        .env("WIRELOOM_SERVER_LAME_DUCK_TIME", "0s")
        .env(RAN, folder.path().join("ran"))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{output}");
    assert!(folder.path().join("ran").exists(), "the child ran its test");
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_is_configured() {
    let listeners = Listener::bind_all(["127.0.0.1:0", "unix:a.sock"]).await;
    let listeners = listeners.unwrap();
    let address = listeners.iter().next().unwrap().local_addr().unwrap();
    let events = serve(listeners).await;
    for part in [
        "max_connection_age=7200s (wireloom.toml:2:1)",
        "lame_duck_time=0ns (WIRELOOM_SERVER_LAME_DUCK_TIME)",
        "shutdown_timeout=10s (code)",
        "max_receive_message_size=4194304 (default)",
        &format!("INFO configured by a file {}", file_and_variable()),
        &format!(
            "INFO listening server.address=\"127.0.0.1\" server.port={}",
            address.port()
        ),
        "INFO listening server.address=\"unix:a.sock\"",
    ] {
        let is_told = events.iter().any(|event| event.contains(part));
        assert!(is_told, "{part} is not in {events:#?}");
    }
    std::fs::write(std::env::var_os(RAN).unwrap(), "").unwrap();
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_has_no_file() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let events = serve(listener.into()).await;
    let told = format!(
        "INFO there is no configuration file {}",
        file_and_variable()
    );
    assert!(events.contains(&told), "{told} is not in {events:#?}");
    std::fs::write(std::env::var_os(RAN).unwrap(), "").unwrap();
}

/// The events of a server that starts and ends.
async fn serve(listeners: Listeners) -> Vec<String> {
    let (events, _guard) = Events::listen();
    Server::builder()
        .shutdown_timeout(Duration::from_secs(10))
        .configured()
        .unwrap()
        .serve_with_shutdown(listeners, async {})
        .await
        .unwrap();
    events.with("")
}

/// The fields that tell of the sources.
fn file_and_variable() -> String {
    let file = std::path::absolute("wireloom.toml").unwrap();
    format!(
        "file={} variables=\"WIRELOOM_SERVER_LAME_DUCK_TIME\"",
        file.display()
    )
}
