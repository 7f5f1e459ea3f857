//! What a test says of one method, and asks of it.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use tonic::{Request, Response, Status};

use super::{
    AnyScript, Replies,
    script::{Make, Script, Uses},
};

/// The mock of a method with one request and one response.
pub type UnaryMock<Req, Res> = MethodMock<Req, Res>;

/// The mock of a method with one request and many responses: its answer is a list of messages, which a failure may end.
pub type ServerStreamingMock<Req, Res> = MethodMock<Req, Vec<Result<Res, Status>>>;

/// The mock of a method with many requests and one response. It answers when all requests have come.
pub type ClientStreamingMock<Req, Res> = MethodMock<Vec<Req>, Res>;

/// The mock of a method with many requests and many responses: its answer is a list of messages or a function of
/// [`each`](super::each) request; see [`Replies`].
pub type BidiStreamingMock<Req, Res> = MethodMock<Vec<Req>, Replies<Req, Res>>;

/// The mock of a method: scripts answers, and has the calls that came.
///
/// Answers are used in the order in which they were scripted, each for one call unless [`Scripted`] says otherwise. `In`
/// is what a call sends, `Out` what it is answered with: a message, or a list of them.
#[must_use = "a method that nothing is scripted for is UNIMPLEMENTED"]
pub struct MethodMock<In, Out> {
    script: Arc<Script<In, Out>>,
}

/// An answer that was just scripted: for how many calls it is, and how long it takes.
pub struct Scripted<In, Out> {
    script: Arc<Script<In, Out>>,
    answer: usize,
}

impl<In, Out> MethodMock<In, Out> {
    pub(super) fn new(script: Arc<Script<In, Out>>) -> Self {
        Self { script }
    }

    /// Answers a call with `answer`: for a stream, with a list of messages, such as `[Ok(first), Err(status)]`.
    #[track_caller]
    pub fn answer(self, answer: impl Into<Out>) -> Scripted<In, Out> {
        self.add(Make::Given(answer.into()), Location::caller())
    }

    /// Fails a call with `status`.
    #[track_caller]
    pub fn fail(self, status: Status) -> Scripted<In, Out> {
        self.add(Make::Failed(status), Location::caller())
    }

    /// Answers a call as `answer` says, which has the request; of a stream of requests, all messages, once they have come.
    ///
    /// Where `answer` panics, the call fails with INTERNAL, and so does the test: see [`verify`](super::Mock::verify).
    #[track_caller]
    pub fn answer_with(
        self,
        answer: impl FnMut(&Request<In>) -> Result<Response<Out>, Status> + Send + 'static,
    ) -> Scripted<In, Out> {
        self.add(Make::By(Arc::new(Mutex::new(answer))), Location::caller())
    }

    /// Lets calls come that no answer is left for: they fail with UNIMPLEMENTED, and the test does not fail for them.
    ///
    /// The default is that [`verify`](super::Mock::verify), and dropping the mock, fail the test.
    pub fn allow_unscripted(self) {
        self.script.allow_unscripted();
    }

    fn add(
        self,
        make: Make<In, Out>,
        scripted_at: &'static Location<'static>,
    ) -> Scripted<In, Out> {
        let answer = self.script.add(make, scripted_at);
        Scripted {
            script: self.script,
            answer,
        }
    }
}

impl<In: Clone, Out> MethodMock<In, Out> {
    /// The calls that came so far, in their order, each with its metadata; every attempt is one.
    ///
    /// Of a stream of requests, it has the messages that were read so far.
    pub fn calls(&self) -> Vec<Request<In>> {
        self.script.calls()
    }
}

impl<In, Out> Scripted<In, Out> {
    /// For `calls` calls, one after the other. The default is one; zero takes the answer back.
    pub fn times(self, calls: usize) -> Self {
        self.script.set_uses(self.answer, Uses::Exactly(calls));
        self
    }

    /// For any number of calls that no other answer is left for, none among them: the default answer of the method. Of
    /// several, the last counts.
    pub fn always(self) -> Self {
        self.script.set_uses(self.answer, Uses::Any);
        self
    }

    /// Waits for `delay` before the answer, by tokio's clock, which a test may have paused. The default is not to wait.
    pub fn after(self, delay: Duration) -> Self {
        self.script.set_delay(self.answer, delay);
        self
    }

    /// The mock of the method, to script the answer after this one.
    pub fn then(self) -> MethodMock<In, Out> {
        MethodMock::new(self.script)
    }
}

impl<In: Send + 'static, Out: Send + 'static> fmt::Debug for MethodMock<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MethodMock")
            .field(&self.script.method())
            .finish()
    }
}

impl<In: Send + 'static, Out: Send + 'static> fmt::Debug for Scripted<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("method", &self.script.method())
            .field("answer", &self.answer)
            .finish()
    }
}
