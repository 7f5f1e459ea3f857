//! What a test scripts for one method, and the calls that came for it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::Extensions;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{AnyScript, lock};
use crate::status::code_name;

/// The answers of a method, and its calls: `In` is what a call sends, `Out` what it is answered with.
pub(super) struct Script<In, Out> {
    method: &'static str,
    state: Mutex<State<In, Out>>,
}

struct State<In, Out> {
    /// In the order in which they were scripted; none is ever taken out.
    answers: Vec<Answer<In, Out>>,
    /// In the order in which they came.
    calls: Vec<Call<In>>,
    /// What the test's own functions panicked with.
    panics: Vec<String>,
    /// How many calls no answer was left for.
    unscripted: usize,
    unscripted_calls: UnscriptedCalls,
}

/// What calls are that no answer is left for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UnscriptedCalls {
    Faults,
    Allowed,
}

struct Answer<In, Out> {
    make: Make<In, Out>,
    delay: Duration,
    uses: Uses,
    used: usize,
    scripted_at: &'static Location<'static>,
}

/// For how many calls an answer is.
#[derive(Clone, Copy)]
pub(super) enum Uses {
    Exactly(usize),
    /// Any that no other answer is left for.
    Any,
}

/// How an answer is made.
pub(super) enum Make<In, Out> {
    Given(Out),
    Failed(Status),
    By(Arc<Mutex<Handler<In, Out>>>),
}

/// A function of the test's own that answers calls.
pub(super) type Handler<In, Out> = dyn FnMut(&Request<In>) -> Result<Response<Out>, Status> + Send;

/// What came in one call.
struct Call<In> {
    metadata: MetadataMap,
    extensions: Extensions,
    message: In,
}

/// The answer to one call, and how long it waits.
pub(super) struct Taken<In, Out> {
    pub(super) make: Make<In, Out>,
    pub(super) delay: Duration,
}

impl<In, Out> Script<In, Out> {
    pub(super) fn new(method: &'static str) -> Self {
        let state = State {
            answers: Vec::new(),
            calls: Vec::new(),
            panics: Vec::new(),
            unscripted: 0,
            unscripted_calls: UnscriptedCalls::Faults,
        };
        Self {
            method,
            state: Mutex::new(state),
        }
    }

    /// Adds an answer for one call; gives its number.
    pub(super) fn add(
        &self,
        make: Make<In, Out>,
        scripted_at: &'static Location<'static>,
    ) -> usize {
        let answers = &mut self.state().answers;
        answers.push(Answer {
            make,
            delay: Duration::ZERO,
            uses: Uses::Exactly(1),
            used: 0,
            scripted_at,
        });
        answers.len() - 1
    }

    pub(super) fn set_uses(&self, answer: usize, uses: Uses) {
        if let Some(answer) = self.state().answers.get_mut(answer) {
            answer.uses = uses;
        }
    }

    pub(super) fn set_delay(&self, answer: usize, delay: Duration) {
        if let Some(answer) = self.state().answers.get_mut(answer) {
            answer.delay = delay;
        }
    }

    pub(super) fn allow_unscripted(&self) {
        self.state().unscripted_calls = UnscriptedCalls::Allowed;
    }

    /// Runs a function of the test's own, and keeps what it panics with: the server that it runs in makes INTERNAL of the
    /// panic, which a test may take for an answer.
    pub(super) fn run<T>(&self, function: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|panic| {
            self.state().panics.push(message(&*panic));
            resume_unwind(panic)
        })
    }

    fn state(&self) -> MutexGuard<'_, State<In, Out>> {
        lock(&self.state)
    }
}

impl<In, Out: Clone> Script<In, Out> {
    /// Keeps a call, and takes the answer to it; gives the call's number.
    ///
    /// # Errors
    ///
    /// UNIMPLEMENTED where no answer is left.
    pub(super) fn begin(&self, request: Request<In>) -> (usize, Result<Taken<In, Out>, Status>) {
        let mut state = self.state();
        let (metadata, extensions, message) = request.into_parts();
        state.calls.push(Call {
            metadata,
            extensions,
            message,
        });
        let came = state.calls.len();
        let answer = state.next_answer().map(|answer| {
            answer.used += 1;
            Taken {
                make: answer.make.clone(),
                delay: answer.delay,
            }
        });
        if answer.is_none() {
            state.unscripted += 1;
        }
        let answer = answer.ok_or_else(|| {
            Status::unimplemented(format!(
                "no answer is scripted for call {came} of {}",
                self.method
            ))
        });
        (came - 1, answer)
    }
}

impl<In: Clone, Out> Script<In, Out> {
    /// The calls that came so far.
    pub(super) fn calls(&self) -> Vec<Request<In>> {
        self.state().calls.iter().map(Call::request).collect()
    }

    /// A call by its number.
    pub(super) fn call(&self, call: usize) -> Option<Request<In>> {
        self.state().calls.get(call).map(Call::request)
    }
}

impl<Req, Out> Script<Vec<Req>, Out> {
    /// Keeps one more message of a call.
    pub(super) fn push(&self, call: usize, message: Req) {
        if let Some(call) = self.state().calls.get_mut(call) {
            call.message.push(message);
        }
    }
}

impl<In: Send + 'static, Out: Send + 'static> AnyScript for Script<In, Out> {
    fn method(&self) -> &'static str {
        self.method
    }

    fn faults(&self) -> Vec<String> {
        let state = self.state();
        let panics = state.panics.iter();
        let panics = panics.map(|panic| format!("- {}: a function panicked: {panic}", self.method));
        let unscripted = state.unscripted_faults().map(|unscripted| {
            format!(
                "- {}: calls that no answer was scripted for: {unscripted} of {}",
                self.method,
                state.calls.len(),
            )
        });
        let unused = state.unused(self.method);
        panics.chain(unscripted).chain(unused).collect()
    }
}

impl<In, Out> State<In, Out> {
    /// How many calls came that had no answer, where that is a fault.
    fn unscripted_faults(&self) -> Option<usize> {
        let faults = self.unscripted > 0 && self.unscripted_calls == UnscriptedCalls::Faults;
        faults.then_some(self.unscripted)
    }

    /// A line for each answer that had to be used and was not.
    fn unused(&self, method: &str) -> impl Iterator<Item = String> {
        let came = self.calls.len();
        self.answers.iter().filter_map(move |answer| {
            let Uses::Exactly(uses) = answer.uses else {
                return None;
            };
            (answer.used < uses).then(|| {
                format!(
                    "- {method}: {}, scripted at {}, was used {} of {uses} times; calls that came: {came}",
                    answer.make.describe(),
                    answer.scripted_at,
                    answer.used,
                )
            })
        })
    }

    /// The first answer that is left, or else the last that is for any call.
    fn next_answer(&mut self) -> Option<&mut Answer<In, Out>> {
        let left = |answer: &Answer<In, Out>| matches!(answer.uses, Uses::Exactly(uses) if answer.used < uses);
        let any = |answer: &Answer<In, Out>| matches!(answer.uses, Uses::Any);
        let next = self.answers.iter().position(left);
        let next = next.or_else(|| self.answers.iter().rposition(any));
        self.answers.get_mut(next?)
    }
}

impl<In: Clone> Call<In> {
    fn request(&self) -> Request<In> {
        Request::from_parts(
            self.metadata.clone(),
            self.extensions.clone(),
            self.message.clone(),
        )
    }
}

impl<In, Out> Make<In, Out> {
    fn describe(&self) -> String {
        match self {
            Self::Given(_) => "an answer".to_owned(),
            Self::Failed(status) => format!("a failure with {}", code_name(status.code())),
            Self::By(_) => "an answer by a function".to_owned(),
        }
    }
}

impl<In, Out: Clone> Clone for Make<In, Out> {
    fn clone(&self) -> Self {
        match self {
            Self::Given(answer) => Self::Given(answer.clone()),
            Self::Failed(status) => Self::Failed(status.clone()),
            Self::By(handler) => Self::By(Arc::clone(handler)),
        }
    }
}

/// What a panic says: `panic!` and the assertions say a text.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no text".to_owned())
}
