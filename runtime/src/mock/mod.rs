//! Mocks of services: answers that a test scripts, and the calls that came.
//!
//! `mocks = true` in `wireloom.toml`, or `Builder::mocks(true)`, generates one per service: `GreeterMock` implements the
//! trait `Greeter`, has a [`MethodMock`] per method, and makes clients whose calls it answers in this process, with all
//! that a channel does in force.
//!
//! ```ignore
//! let mock = GreeterMock::new();
//! mock.say_hello().fail(Status::unavailable("asleep"));
//! mock.say_hello().answer(HelloReply { message: "Hello, Ann!".to_owned() });
//!
//! let reply = mock.client().say_hello(HelloRequest::default()).await?;
//! assert_eq!(mock.say_hello().calls().len(), 2);
//! ```
//!
//! A mock answers attempts: one that a policy tries again takes the next answer. Where none is left, the attempt fails
//! with UNIMPLEMENTED, and the test fails when the mock is dropped.

mod method;
mod replies;
mod script;
mod serve;

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::method::{
    BidiStreamingMock, ClientStreamingMock, MethodMock, Scripted, ServerStreamingMock, UnaryMock,
};
pub use self::replies::{Replies, each};
use self::script::Script;
use crate::method::Method;

/// The scripts of a service's methods: what a generated mock holds.
///
/// Dropping the first of its clones checks what [`verify`](Self::verify) does, unless the thread is panicking; dropping
/// the others checks nothing. Services are made of those: a server drops its services in tasks, whose panics fail no test.
#[derive(Default)]
pub struct Mock {
    scripts: Arc<Mutex<Vec<Arc<dyn AnyScript>>>>,
    origin: Origin,
}

/// Whether a mock is the one that the test made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Origin {
    #[default]
    Made,
    Cloned,
}

impl Mock {
    /// The mock of a method; the first use of it makes its script.
    pub fn method<Req, Res, In, Out>(
        &self,
        method: &'static Method<Req, Res>,
    ) -> MethodMock<In, Out>
    where
        In: Send + 'static,
        Out: Send + 'static,
    {
        MethodMock::new(self.script(method))
    }

    /// Fails the test where calls did not come as they were scripted.
    ///
    /// # Panics
    ///
    /// The message names the method, and
    /// - what a function of the test's panicked with, such as an assertion in [`answer_with`](MethodMock::answer_with) or
    ///   [`each`];
    /// - how many calls came that no answer was left for, unless the method [allows](MethodMock::allow_unscripted) them;
    /// - the line that scripted an answer that was not used and is not for [any number](Scripted::always) of calls.
    #[track_caller]
    pub fn verify(&self) {
        let faults = self.faults();
        assert!(
            faults.is_empty(),
            "the mock was not used as scripted:\n{}",
            faults.join("\n")
        );
    }

    fn faults(&self) -> Vec<String> {
        let scripts = self.scripts();
        scripts.iter().flat_map(|script| script.faults()).collect()
    }

    fn script<Req, Res, In, Out>(&self, method: &'static Method<Req, Res>) -> Arc<Script<In, Out>>
    where
        In: Send + 'static,
        Out: Send + 'static,
    {
        let method = method.descriptor().full_name();
        let mut scripts = self.scripts();
        let known = scripts
            .iter()
            .filter(|script| script.method() == method)
            .find_map(|script| {
                let script: Arc<dyn Any + Send + Sync> = Arc::clone(script) as _;
                script.downcast().ok()
            });
        known.unwrap_or_else(|| {
            let script = Arc::new(Script::new(method));
            scripts.push(Arc::clone(&script) as _);
            script
        })
    }

    fn scripts(&self) -> MutexGuard<'_, Vec<Arc<dyn AnyScript>>> {
        lock(&self.scripts)
    }
}

impl Clone for Mock {
    fn clone(&self) -> Self {
        Self {
            scripts: Arc::clone(&self.scripts),
            origin: Origin::Cloned,
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if self.origin == Origin::Made && !std::thread::panicking() {
            self.verify();
        }
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self
            .scripts()
            .iter()
            .map(|script| script.method())
            .collect::<Vec<_>>();
        f.debug_tuple("Mock").field(&methods).finish()
    }
}

/// [`Script`] without its types.
trait AnyScript: Any + Send + Sync {
    /// Package, service and method.
    fn method(&self) -> &'static str;

    /// A line for each panic, one for calls that had no answer, and one for each answer that was left.
    fn faults(&self) -> Vec<String>;
}

/// A panic of a test's own function poisons nothing: what is locked is whole between any two statements.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
