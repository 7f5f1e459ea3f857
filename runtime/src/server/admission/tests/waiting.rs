use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, yield_now},
    time::advance,
};

use super::super::{
    gate::{Entered, Gate, Permit, Ticket},
    limits::Queue,
};

const QUEUE: Queue = Queue {
    max_calls: 3,
    max_wait: Duration::from_millis(50),
};

fn entered(gate: &Arc<Gate>) -> Permit {
    match gate.enter() {
        Entered::In(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn waits(gate: &Arc<Gate>) -> Ticket {
    match gate.enter() {
        Entered::Waits(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn is_full(gate: &Arc<Gate>) -> bool {
    matches!(gate.enter(), Entered::Full)
}

/// Calls that wait, and say who has its turn.
struct Calls {
    gate: Arc<Gate>,
    served: mpsc::UnboundedReceiver<(&'static str, Permit)>,
    serve: mpsc::UnboundedSender<(&'static str, Permit)>,
}

impl Calls {
    fn at(gate: &Arc<Gate>) -> Self {
        let (serve, served) = mpsc::unbounded_channel();
        Self {
            gate: Arc::clone(gate),
            served,
            serve,
        }
    }

    /// The task says whether the call had its turn.
    fn wait(&self, name: &'static str) -> JoinHandle<bool> {
        let (mut ticket, serve) = (waits(&self.gate), self.serve.clone());
        tokio::spawn(async move {
            let turn = ticket.turn().await;
            let is_served = turn.is_some();
            if let Some(permit) = turn {
                serve.send((name, permit)).unwrap();
            }
            is_served
        })
    }

    async fn next(&mut self) -> (&'static str, Permit) {
        self.served.recv().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_let_in_than_the_limit_and_those_that_end_make_room() {
    let gate = Gate::fixed(
        2,
        Queue {
            max_calls: 0,
            ..QUEUE
        },
    );
    let (first, _second) = (entered(&gate), entered(&gate));
    assert!(is_full(&gate));
    drop(first);
    let _third = entered(&gate);
    assert!(is_full(&gate));
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let gate = Gate::fixed(1, QUEUE);
    let _held = entered(&gate);
    let _tickets = [(); 3].map(|()| waits(&gate));
    assert!(is_full(&gate));
}

#[tokio::test(start_paused = true)]
async fn none_waits_where_the_time_to_wait_is_zero() {
    let max_wait = Duration::ZERO;
    let gate = Gate::fixed(1, Queue { max_wait, ..QUEUE });
    let _held = entered(&gate);
    assert!(is_full(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_call_may_wait_without_a_limit() {
    let max_wait = Duration::MAX;
    let gate = Gate::fixed(1, Queue { max_wait, ..QUEUE });
    let held = entered(&gate);
    let mut waiting = waits(&gate);
    advance(Duration::from_secs(1_000_000)).await;
    drop(held);
    assert!(waiting.turn().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn in_a_burst_the_first_that_came_goes_first() {
    let gate = Gate::fixed(1, QUEUE);
    let held = entered(&gate);
    let mut calls = Calls::at(&gate);
    let _waiting = ["a", "b"].map(|name| calls.wait(name));
    drop(held);
    let (name, permit) = calls.next().await;
    assert_eq!(name, "a");
    drop(permit);
    assert_eq!(calls.next().await.0, "b");
}

#[tokio::test(start_paused = true)]
async fn in_a_line_that_does_not_empty_the_last_that_came_goes_first() {
    let gate = Gate::fixed(1, QUEUE);
    let held = entered(&gate);
    let mut calls = Calls::at(&gate);
    let _early = calls.wait("early");
    yield_now().await;
    advance(Duration::from_millis(30)).await;
    let _waiting = ["a", "b"].map(|name| calls.wait(name));
    drop(held);
    let (name, permit) = calls.next().await;
    assert_eq!(name, "early", "the line has stood for no more than 30 ms");
    advance(Duration::from_millis(20)).await;
    drop(permit);
    assert_eq!(calls.next().await.0, "b");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_has_emptied_is_no_standing_one() {
    let gate = Gate::fixed(1, QUEUE);
    let held = entered(&gate);
    let mut calls = Calls::at(&gate);
    let _first = calls.wait("first");
    advance(Duration::from_millis(40)).await;
    drop(held);
    let (_, permit) = calls.next().await;
    let _waiting = ["a", "b"].map(|name| calls.wait(name));
    advance(Duration::from_millis(40)).await;
    drop(permit);
    assert_eq!(calls.next().await.0, "a");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_it_may() {
    let gate = Gate::fixed(1, QUEUE);
    let _held = entered(&gate);
    let calls = Calls::at(&gate);
    let waiting = calls.wait("a");
    yield_now().await;
    advance(Duration::from_millis(49)).await;
    assert!(!waiting.is_finished());
    advance(Duration::from_millis(2)).await;
    assert!(!waiting.await.unwrap());
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_waited_too_long_has_no_turn_though_its_timer_is_late() {
    let gate = Gate::fixed(1, QUEUE);
    let permit = entered(&gate);
    let mut late = waits(&gate);
    advance(QUEUE.max_wait).await;
    // Nothing has polled it since.
    drop(permit);
    assert!(late.turn().await.is_none());
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gives_up_leaves_its_place_in_the_line_to_others() {
    let gate = Gate::fixed(1, QUEUE);
    let held = entered(&gate);
    let mut tickets = Vec::from([(); 3].map(|()| waits(&gate)));
    drop(tickets.remove(1));
    assert_eq!(gate.waiting(), 2);
    tickets.push(waits(&gate));
    drop(held);
    assert!(tickets[0].turn().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_reaches_a_call_which_has_given_up_goes_to_the_next() {
    let gate = Gate::fixed(1, QUEUE);
    let held = entered(&gate);
    let (first, mut second) = (waits(&gate), waits(&gate));
    // The permit is the first's before it gives up.
    drop(held);
    drop(first);
    assert!(second.turn().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_to_stay_away_for_longer_the_more_are_refused() {
    let gate = Gate::fixed(
        1,
        Queue {
            max_calls: 0,
            ..QUEUE
        },
    );
    let held = entered(&gate);
    let told = [(); 3].map(|()| gate.pushback());
    assert_eq!(told, [50, 100, 150].map(Duration::from_millis));
    drop(held);
    let _held = entered(&gate);
    assert_eq!(gate.pushback(), Duration::from_millis(50));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter,
    End(usize),
    GiveUp(usize),
    /// Who has been given a permit takes it.
    Take,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Enter),
        2 => (0..8usize).prop_map(Step::End),
        1 => (0..8usize).prop_map(Step::GiveUp),
        2 => Just(Step::Take),
        1 => (0..40u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_the_limit_holds_and_no_room_is_lost(
        limit in 1..4usize,
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let gate = Gate::fixed(limit, QUEUE);
            let (mut permits, mut tickets) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Enter => match gate.enter() {
                        Entered::In(permit) => permits.push(permit),
                        Entered::Waits(ticket) => tickets.push(ticket),
                        Entered::Full => prop_assert_eq!(gate.waiting(), QUEUE.max_calls),
                    },
                    Step::End(index) if index < permits.len() => drop(permits.remove(index)),
                    Step::GiveUp(index) if index < tickets.len() => drop(tickets.remove(index)),
                    Step::Take => {
                        let mut left = Vec::new();
                        for mut ticket in tickets.drain(..) {
                            let turn = poll_once(ticket.turn());
                            match turn {
                                Some(Some(permit)) => permits.push(permit),
                                Some(None) => {}
                                None => left.push(ticket),
                            }
                        }
                        tickets = left;
                    }
                    Step::Pass(milliseconds) => advance(Duration::from_millis(milliseconds)).await,
                    Step::End(_) | Step::GiveUp(_) => {}
                }
                prop_assert!(permits.len() <= limit);
                prop_assert!(gate.in_flight() <= limit);
                prop_assert!(gate.waiting() <= QUEUE.max_calls);
                let idle = gate.in_flight() < limit && gate.waiting() > 0;
                prop_assert!(!idle, "there is room, and somebody waits");
            }
            drop((permits, tickets));
            prop_assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
            Ok(())
        })?;
    }
}

/// What the future is ready with, if it is.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
