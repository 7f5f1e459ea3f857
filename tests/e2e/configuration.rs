//! Settings from `wireloom.toml` and the environment, in a process of its own: both belong to the whole process.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use wireloom::Server;
use wireloom::server::Listener;

/// Where a child says that it ran.
const RAN: &str = "TEST_RAN";

#[test]
fn a_server_is_configured_by_the_working_folder_and_the_environment_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[server]\nmax_connection_age = \"2h\"\nlame_duck_time = \"1s\"\n";
    std::fs::write(folder.path().join("wireloom.toml"), file).unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "configuration::child_is_configured"])
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
    let shown = Settings::default();
    let subscriber = tracing_subscriber::registry().with(shown.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    Server::builder()
        .shutdown_timeout(Duration::from_secs(10))
        .configured()
        .unwrap()
        .serve_with_shutdown(Listener::bind("127.0.0.1:0").await.unwrap(), async {})
        .await
        .unwrap();
    let shown = shown.0.lock().unwrap();
    for part in [
        "max_connection_age=7200s (wireloom.toml:2:1)",
        "lame_duck_time=0ns (WIRELOOM_SERVER_LAME_DUCK_TIME)",
        "shutdown_timeout=10s (code)",
        "max_receive_message_size=4194304 (default)",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    std::fs::write(std::env::var_os(RAN).unwrap(), "").unwrap();
}

/// What the field `settings` of an event says.
#[derive(Clone, Default)]
struct Settings(Arc<Mutex<String>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Settings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Settings {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "settings" {
            *self.0.lock().unwrap() = format!("{value:?}");
        }
    }
}
