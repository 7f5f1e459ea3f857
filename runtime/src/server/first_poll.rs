//! The first poll of a call, where it was accepted.
//!
//! Most handlers answer without waiting for anything, and a task for each costs more than many of them. So the task of a
//! connection polls a call once by itself, and spawns what waits then. Where that poll takes long, others wait for it, and
//! no other thread helps: the next calls get tasks at once.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::deferred::Turns;

/// A poll that takes longer is worth a task, where other threads can take it.
const LONG: Duration = Duration::from_micros(10);

/// A poll that takes longer is worth a task, so that other connections have their turn between two calls of this one.
const LONG_ON_ONE_THREAD: Duration = Duration::from_micros(100);

/// While polls are short, one in so many is timed, or more: two looks at the clock are some hundredth of a cheap call.
const MAX_STRIDE: u32 = 8;

/// So many calls are polled before the connection is, and others' tasks are.
const MAX_PER_TURN: usize = 64;

/// How many calls get tasks at once after a poll that took long, at first; twice as many after each further one.
const FIRST_REST: u32 = 16;
const MAX_REST: u32 = 4096;

/// Starts the calls of a connection.
pub(super) struct FirstPolls<F> {
    calls: TaskTracker,
    /// The place of a call that has ended, for the next one.
    spare: Option<Boxed<F>>,
    pace: Pace,
    turns: Turns,
    turn: usize,
    polled_this_turn: usize,
}

impl<F: Future<Output = ()> + Send + 'static> FirstPolls<F> {
    /// Within a runtime.
    pub(super) fn new(calls: TaskTracker, turns: Turns) -> Self {
        let workers = Handle::current().metrics().num_workers();
        Self {
            calls,
            spare: None,
            pace: Pace::new(if workers > 1 {
                LONG
            } else {
                LONG_ON_ONE_THREAD
            }),
            turn: turns.now(),
            turns,
            polled_this_turn: 0,
        }
    }

    /// Polls the call that `make` makes, unless others come first, and spawns what is left of it.
    pub(super) fn start(&mut self, make: impl FnOnce() -> F, cx: &mut Context<'_>) {
        let mut place = self.spare.take().unwrap_or_else(|| Box::pin(None));
        // Made here, it is copied once less than as an argument.
        place.as_mut().set(Some(make()));
        let counted = self.calls.token();
        if self.has_turn() && self.pace.polls() {
            let polled = match self.pace.looks() {
                true => {
                    let began = Instant::now();
                    let polled = poll_caught(&mut place, cx);
                    self.pace.took(began.elapsed());
                    polled
                }
                false => poll_caught(&mut place, cx),
            };
            if polled.is_ready() {
                place.as_mut().set(None);
                self.spare = Some(place);
                return;
            }
        }
        tokio::spawn(async move {
            call_in(&mut place).await;
            drop(counted);
        });
    }

    fn has_turn(&mut self) -> bool {
        if self.turn != self.turns.now() {
            self.turn = self.turns.now();
            self.polled_this_turn = 0;
        }
        self.polled_this_turn += 1;
        self.polled_this_turn <= MAX_PER_TURN
    }
}

/// Where a call is, until it has ended.
type Boxed<F> = Pin<Box<Option<F>>>;

/// Whether calls are polled, by how long that took before.
struct Pace {
    long: Duration,
    /// The calls to come that are not polled.
    rest: u32,
    next_rest: u32,
    /// One poll in so many is timed, or an earlier one by chance: calls that follow each other in a pattern, as a client that
    /// polls several methods makes them, would otherwise hide a long one.
    stride: u32,
    /// The polls to come that are not timed.
    unseen: u32,
}

impl Pace {
    fn new(long: Duration) -> Self {
        Self {
            long,
            rest: 0,
            next_rest: FIRST_REST,
            stride: 1,
            unseen: 0,
        }
    }

    fn polls(&mut self) -> bool {
        let polls = self.rest == 0;
        self.rest = self.rest.saturating_sub(1);
        polls
    }

    /// Whether the next poll is timed.
    fn looks(&mut self) -> bool {
        let looks = self.unseen == 0;
        self.unseen = self.unseen.saturating_sub(1);
        looks
    }

    fn took(&mut self, time: Duration) {
        if time > self.long {
            self.rest = self.next_rest;
            self.next_rest = (self.next_rest * 2).min(MAX_REST);
            self.stride = 1;
        } else {
            self.next_rest = (self.next_rest / 2).max(FIRST_REST);
            self.stride = (self.stride * 2).min(MAX_STRIDE);
        }
        self.unseen = fastrand::u32(..self.stride);
    }
}

/// A panic ends the call, as it would end its task, and not the connection.
fn poll_caught<F: Future<Output = ()>>(place: &mut Boxed<F>, cx: &mut Context<'_>) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| call_in(place).poll(cx))).unwrap_or(Poll::Ready(()))
}

fn call_in<F>(place: &mut Boxed<F>) -> Pin<&mut F> {
    let call = place.as_mut().as_pin_mut();
    call.expect("a call is in its place until it has ended")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// As a connection's task does.
    async fn start<F: Future<Output = ()> + Send + 'static>(polls: &mut FirstPolls<F>, call: F) {
        let mut call = Some(call);
        poll_fn(|cx| {
            polls.start(|| call.take().unwrap(), cx);
            Poll::Ready(())
        })
        .await;
    }

    type Calls = FirstPolls<Pin<Box<dyn Future<Output = ()> + Send>>>;

    struct Started {
        polls: Calls,
        sender: mpsc::UnboundedSender<tokio::task::Id>,
        ran_in: mpsc::UnboundedReceiver<tokio::task::Id>,
    }

    impl Started {
        fn new() -> Self {
            let (sender, ran_in) = mpsc::unbounded_channel();
            Self {
                polls: Calls::new(TaskTracker::new(), Turns::default()),
                sender,
                ran_in,
            }
        }

        /// Starts a call that blocks its thread for so long; whether it ran in the connection's task.
        async fn runs_here(&mut self, blocks: Duration) -> bool {
            let sender = self.sender.clone();
            let call = async move {
                std::thread::sleep(blocks);
                sender.send(tokio::task::id()).unwrap();
            };
            start(&mut self.polls, Box::pin(call)).await;
            self.ran_in.recv().await.unwrap() == tokio::task::id()
        }
    }

    /// In a task, since only tasks have ids.
    async fn in_task<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
        tokio::spawn(test).await.unwrap()
    }

    #[tokio::test]
    async fn what_does_not_wait_needs_no_task() {
        assert!(in_task(async { Started::new().runs_here(Duration::ZERO).await }).await);
    }

    #[tokio::test]
    async fn what_waits_goes_on_in_a_task_of_its_own() {
        let (go, wait) = oneshot::channel::<()>();
        let (sender, done) = oneshot::channel();
        let calls = TaskTracker::new();
        let mut polls = FirstPolls::new(calls.clone(), Turns::default());
        let call = async move {
            wait.await.unwrap();
            sender.send(()).unwrap();
        };
        start(&mut polls, call).await;
        assert_eq!(calls.len(), 1);
        go.send(()).unwrap();
        done.await.unwrap();
    }

    #[tokio::test]
    async fn after_a_long_poll_calls_get_tasks_at_once() {
        in_task(async {
            let mut started = Started::new();
            assert!(started.runs_here(LONG_ON_ONE_THREAD * 2).await);
            for _ in 0..FIRST_REST {
                assert!(!started.runs_here(Duration::ZERO).await);
            }
            assert!(started.runs_here(Duration::ZERO).await);
        })
        .await;
    }

    #[tokio::test]
    async fn a_turn_has_an_end() {
        let calls = TaskTracker::new();
        let turns = Turns::default();
        let mut polls = FirstPolls::new(calls.clone(), turns.clone());
        // Whatever the machine does meanwhile, no poll counts as long.
        polls.pace = Pace::new(Duration::MAX);
        for _ in 0..MAX_PER_TURN {
            start(&mut polls, std::future::ready(())).await;
        }
        assert_eq!(calls.len(), 0);
        start(&mut polls, std::future::ready(())).await;
        assert_eq!(calls.len(), 1);
        turns.next();
        start(&mut polls, std::future::ready(())).await;
        assert_eq!(calls.len(), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_nothing_else() {
        let mut polls = Calls::new(TaskTracker::new(), Turns::default());
        start(&mut polls, Box::pin(async { panic!("as an observer may") })).await;
        start(&mut polls, Box::pin(std::future::ready(()))).await;
    }

    #[test]
    fn while_polls_are_short_few_are_timed() {
        let mut pace = Pace::new(Duration::from_micros(10));
        let mut polls = 0;
        for _ in 0..1000 {
            pace.took(Duration::ZERO);
            polls += 1 + (0..).take_while(|_| !pace.looks()).count();
        }
        assert!((4000..5000).contains(&polls), "{polls}");
        pace.took(Duration::from_millis(1));
        assert!(pace.looks());
    }

    #[test]
    fn a_long_poll_is_seen_in_whatever_pattern_it_comes() {
        for period in 2..=32 {
            let mut pace = Pace::new(Duration::from_micros(10));
            let mut calls = (0..10_000).map(|call| call % period == period - 1);
            let is_seen = calls.any(|is_long| {
                let looks = pace.looks();
                if looks && !is_long {
                    pace.took(Duration::ZERO);
                }
                looks && is_long
            });
            assert!(is_seen, "one in {period}");
        }
    }

    #[test]
    fn the_rest_grows_while_polls_are_long() {
        let mut pace = Pace::new(Duration::from_micros(10));
        let mut rests = Vec::new();
        for _ in 0..10 {
            pace.took(Duration::from_millis(1));
            rests.push((0..).take_while(|_| !pace.polls()).count());
        }
        assert_eq!(rests[..3], [16, 32, 64]);
        assert_eq!(rests[9], MAX_REST as usize);
        pace.took(Duration::ZERO);
        assert!(pace.polls());
    }
}
