//! What a test is warned of.

use std::sync::{Arc, Mutex, Once};

use tracing::{
    field::{Field, Visit},
    subscriber::{self, DefaultGuard},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt as _},
    registry,
};

/// The warnings of a test.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

/// Without a subscriber for all threads, what another test's thread finds unwanted at that moment stays unwanted here.
static FOR_ALL: Once = Once::new();

impl Warnings {
    /// Those of this thread, until the guard is dropped: the runtime of a test has one thread.
    pub fn listen() -> (Self, DefaultGuard) {
        FOR_ALL.call_once(|| {
            let set = subscriber::set_global_default(registry());
            set.expect("this is the only one that sets it");
        });
        let warnings = Self::default();
        let guard = subscriber::set_default(registry().with(warnings.clone()));
        (warnings, guard)
    }

    /// Those that came since the last look.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}
