//! What a log has, as one who reads it.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::{self, DefaultGuard};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

/// The events of a test: level, message and fields.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

/// While there is one subscriber alone, what another test's thread finds unwanted at that moment stays unwanted here.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(registry()));

impl Events {
    /// Those of this thread, until the guard is dropped: the runtime of a test has one thread.
    pub fn listen() -> (Self, DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let events = Self::default();
        let guard = subscriber::set_default(registry().with(events.clone()));
        (events, guard)
    }

    /// Those that came since the last look and have `part`.
    pub fn with(&self, part: &str) -> Vec<String> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let events = events.into_iter();
        events.filter(|event| event.contains(part)).collect()
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &match field.name() {
            "message" => format!(" {value:?}"),
            name => format!(" {name}={value:?}"),
        };
    }
}
