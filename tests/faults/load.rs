//! Calls that go on while the test does its worst, and the count of what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use wireloom::{Code, Status};

/// By how much a call may be late on a machine that has others to serve.
const LATENESS: Duration = Duration::from_secs(1);

/// What became of calls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    by_code: BTreeMap<i32, usize>,
    late_by: Duration,
}

impl Tally {
    /// Waits for a call that has to end within `timeout`, and counts it.
    pub async fn count<T>(
        &mut self,
        timeout: Duration,
        call: impl IntoFuture<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let started = Instant::now();
        let ended = call.await;
        self.record(timeout, started.elapsed(), &ended);
        ended
    }

    /// Counts a call that had to end within `timeout`.
    pub fn record<T>(&mut self, timeout: Duration, took: Duration, ended: &Result<T, Status>) {
        let code = code(ended);
        *self.by_code.entry(code.into()).or_default() += 1;
        self.late_by = self.late_by.max(took.saturating_sub(timeout));
    }

    pub fn attempted(&self) -> usize {
        self.by_code.values().sum()
    }

    pub fn ended_with(&self, code: Code) -> usize {
        let code: i32 = code.into();
        self.by_code.get(&code).copied().unwrap_or_default()
    }

    pub fn succeeded(&self) -> usize {
        self.ended_with(Code::Ok)
    }

    /// Prints the count, and fails the test unless all calls ended with one of `codes`, in time.
    pub fn assert_all(&self, codes: &[Code]) {
        println!("{self}");
        self.assert_ended_with(codes);
    }

    /// Fails the test unless all calls ended with one of `codes`, in time.
    pub fn assert_ended_with(&self, codes: &[Code]) {
        self.assert_ended_with_late(codes, Duration::ZERO);
    }

    /// The same on a machine that is known to have held up calls by `held_up`.
    pub fn assert_ended_with_late(&self, codes: &[Code], held_up: Duration) {
        let expected: usize = codes.iter().map(|code| self.ended_with(*code)).sum();
        assert_eq!(expected, self.attempted(), "{self}");
        assert!(
            self.late_by < LATENESS + held_up,
            "late by more than {held_up:?} explain: {self}"
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.attempted())?;
        for (code, count) in &self.by_code {
            write!(f, ", {count} {:?}", Code::from_i32(*code))?;
        }
        write!(f, ", late by {:?} at most", self.late_by)
    }
}

fn code<T>(ended: &Result<T, Status>) -> Code {
    ended.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

/// Callers that make one call after the other.
pub struct Load {
    tally: watch::Sender<Tally>,
    stopping: watch::Sender<bool>,
    callers: JoinSet<()>,
}

impl Load {
    /// `callers` make the calls that `call` gives, each of which has to end within `timeout`.
    pub fn start<T, F>(
        callers: usize,
        timeout: Duration,
        call: impl Fn() -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, Status>> + Send + 'static,
        T: Send,
    {
        let mut load = Self {
            tally: watch::Sender::default(),
            stopping: watch::Sender::default(),
            callers: JoinSet::new(),
        };
        for _ in 0..callers {
            let call = call.clone();
            let (tally, stopping) = (load.tally.clone(), load.stopping.subscribe());
            load.callers.spawn(async move {
                while !*stopping.borrow() {
                    let started = Instant::now();
                    let ended = call().await;
                    tally.send_modify(|tally| tally.record(timeout, started.elapsed(), &ended));
                    if ended.is_ok() {
                        tokio::task::yield_now().await;
                    } else {
                        // What fails at once is not to be all that there is to do.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            });
        }
        load
    }

    pub fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Waits until `more` further calls have succeeded.
    pub async fn until_succeeded(&self, more: usize) {
        let goal = self.tally().succeeded() + more;
        self.until(|tally| tally.succeeded() >= goal).await;
    }

    /// Waits until `more` further calls have failed.
    pub async fn until_failed(&self, more: usize) {
        let failed = |tally: &Tally| tally.attempted() - tally.succeeded();
        let goal = failed(&self.tally()) + more;
        self.until(|tally| failed(tally) >= goal).await;
    }

    async fn until(&self, true_of: impl FnMut(&Tally) -> bool) {
        let mut tally = self.tally.subscribe();
        let found = tokio::time::timeout(crate::PATIENCE, tally.wait_for(true_of)).await;
        let now = self.tally();
        found.unwrap_or_else(|_| panic!("{now}")).unwrap();
    }

    /// Lets the calls under way end; gives the count of all.
    pub async fn stop(mut self) -> Tally {
        self.stopping.send_replace(true);
        let ended = async {
            while let Some(caller) = self.callers.join_next().await {
                caller.unwrap();
            }
        };
        let all = tokio::time::timeout(crate::PATIENCE, ended).await;
        let tally = self.tally();
        all.unwrap_or_else(|_| panic!("calls that do not end, after {tally}"));
        tally
    }
}
