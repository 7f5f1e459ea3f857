//! The states of one circuit.

use tokio::time::Instant;

use super::window::Window;
use crate::policy::CircuitBreaker;

/// Whether attempts go through, by what came of those before.
#[derive(Debug)]
pub(super) struct Circuit {
    state: State,
    /// Counts the states: what an attempt comes to that began in an earlier one says nothing of this.
    round: u64,
}

#[derive(Debug)]
enum State {
    Closed {
        window: Window,
        /// Failures since the last success.
        consecutive: u32,
    },
    Open {
        since: Instant,
    },
    HalfOpen {
        since: Instant,
        /// How many more go through, and how many have succeeded.
        left: u32,
        succeeded: u32,
        /// The round of the first probes: those that take long may succeed in a later one.
        first: u64,
    },
}

/// What came of an attempt, for its circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    Failure,
    /// Nobody waited for it.
    Nothing,
}

impl Circuit {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: closed(now),
            round: 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it is as a new one, or has been open for so long that it may as well be.
    pub(super) fn is_idle(&mut self, policy: &CircuitBreaker, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { window, .. } => window.count(now, policy.window).attempts == 0,
            // Nobody asks: or else there would be a probe.
            State::Open { since } | State::HalfOpen { since, .. } => {
                let unasked = policy.open_for.saturating_add(policy.window);
                now.saturating_duration_since(*since) >= unasked
            }
        }
    }

    /// Whether an attempt would be let through.
    pub(super) fn admits(&self, policy: &CircuitBreaker, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::HalfOpen { left, .. } if left > 0 => true,
            State::Open { since } | State::HalfOpen { since, .. } => {
                now.saturating_duration_since(since) >= policy.open_for
            }
        }
    }

    /// Lets an attempt through, or not; gives the round that it is of.
    pub(super) fn admit(&mut self, policy: &CircuitBreaker, now: Instant) -> Option<u64> {
        if !self.admits(policy, now) {
            return None;
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::HalfOpen { left, .. } if *left > 0 => *left -= 1,
            State::HalfOpen { since, left, .. } => {
                *since = now;
                *left = policy.half_open_probes.saturating_sub(1);
                self.round += 1;
            }
            State::Open { .. } => self.change(State::HalfOpen {
                since: now,
                left: policy.half_open_probes.saturating_sub(1),
                succeeded: 0,
                first: self.round + 1,
            }),
        }
        Some(self.round)
    }

    /// Follows the end of an attempt that was let through.
    pub(super) fn ended(&mut self, policy: &CircuitBreaker, now: Instant, round: u64, end: End) {
        // A probe that took longer than `open_for` has succeeded all the same: without it, the circuit of a method that
        // always does would never close.
        let is_late_success = end == End::Success
            && matches!(self.state, State::HalfOpen { first, .. } if round >= first);
        if round != self.round && !is_late_success {
            return;
        }
        match (&mut self.state, end) {
            (State::Closed { .. }, End::Nothing) | (State::Open { .. }, _) => {}
            (
                State::Closed {
                    window,
                    consecutive,
                },
                End::Success,
            ) => {
                window.add(false, now, policy.window);
                *consecutive = 0;
            }
            (
                State::Closed {
                    window,
                    consecutive,
                },
                End::Failure,
            ) => {
                window.add(true, now, policy.window);
                *consecutive += 1;
                let count = window.count(now, policy.window);
                let ratio = f64::from(count.failures) / f64::from(count.attempts.max(1));
                let by_ratio =
                    count.attempts >= policy.minimum_calls && ratio >= policy.failure_ratio;
                let most = policy.consecutive_failures;
                if by_ratio || most.is_some_and(|most| *consecutive >= most) {
                    self.change(State::Open { since: now });
                }
            }
            (State::HalfOpen { succeeded, .. }, End::Success) => {
                *succeeded += 1;
                if *succeeded >= policy.half_open_probes {
                    self.change(closed(now));
                }
            }
            (State::HalfOpen { .. }, End::Failure) => self.change(State::Open { since: now }),
            (State::HalfOpen { left, .. }, End::Nothing) => *left += 1,
        }
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }
}

fn closed(now: Instant) -> State {
    State::Closed {
        window: Window::new(now),
        consecutive: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy() -> CircuitBreaker {
        CircuitBreaker {
            minimum_calls: 4,
            half_open_probes: 2,
            ..CircuitBreaker::default()
        }
    }

    fn attempt(circuit: &mut Circuit, policy: &CircuitBreaker, end: End) -> bool {
        let now = Instant::now();
        let round = circuit.admit(policy, now);
        if let Some(round) = round {
            circuit.ended(policy, now, round, end);
        }
        round.is_some()
    }

    /// A circuit that has just been opened.
    fn open(policy: &CircuitBreaker) -> Circuit {
        let mut circuit = Circuit::new(Instant::now());
        for _ in 0..4 {
            assert!(attempt(&mut circuit, policy, End::Failure));
        }
        assert!(!attempt(&mut circuit, policy, End::Success));
        circuit
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_the_ratio_once_there_are_enough_attempts() {
        let policy = policy();
        let mut circuit = Circuit::new(Instant::now());
        for end in [End::Failure, End::Failure, End::Nothing, End::Success] {
            assert!(attempt(&mut circuit, &policy, end));
        }
        assert!(circuit.is_closed());
        attempt(&mut circuit, &policy, End::Failure);
        assert!(!circuit.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn below_the_ratio_it_stays_closed() {
        let policy = policy();
        let mut circuit = Circuit::new(Instant::now());
        for _ in 0..50 {
            for end in [End::Success, End::Success, End::Failure] {
                assert!(attempt(&mut circuit, &policy, end));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_before_there_are_enough() {
        let policy = CircuitBreaker {
            consecutive_failures: Some(2),
            ..policy()
        };
        let mut circuit = Circuit::new(Instant::now());
        for end in [End::Failure, End::Success, End::Failure] {
            attempt(&mut circuit, &policy, end);
        }
        assert!(circuit.is_closed());
        attempt(&mut circuit, &policy, End::Failure);
        assert!(!circuit.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_it_lets_the_probes_through_and_closes_when_all_have_succeeded() {
        let policy = policy();
        let mut circuit = open(&policy);
        tokio::time::advance(policy.open_for - Duration::from_millis(1)).await;
        assert!(!circuit.admits(&policy, Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
        let now = Instant::now();
        let probes = [(); 2].map(|()| circuit.admit(&policy, now).unwrap());
        assert_eq!(circuit.admit(&policy, now), None);
        circuit.ended(&policy, now, probes[0], End::Success);
        assert!(!circuit.is_closed());
        circuit.ended(&policy, now, probes[1], End::Success);
        assert!(circuit.is_closed());
        assert!(circuit.is_idle(&policy, now), "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_it_opens_again_at_the_first_failure() {
        let policy = policy();
        let mut circuit = open(&policy);
        tokio::time::advance(policy.open_for).await;
        let now = Instant::now();
        let probes = [(); 2].map(|()| circuit.admit(&policy, now).unwrap());
        circuit.ended(&policy, now, probes[0], End::Failure);
        circuit.ended(&policy, now, probes[1], End::Success);
        assert!(!circuit.admits(&policy, now));
        tokio::time::advance(policy.open_for).await;
        assert!(circuit.admits(&policy, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_its_place_to_another() {
        let policy = policy();
        let mut circuit = open(&policy);
        tokio::time::advance(policy.open_for).await;
        for _ in 0..10 {
            assert!(attempt(&mut circuit, &policy, End::Nothing));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn probes_that_hang_are_followed_by_others() {
        let policy = policy();
        let mut circuit = open(&policy);
        tokio::time::advance(policy.open_for).await;
        let hanging = [(); 2].map(|()| circuit.admit(&policy, Instant::now()).unwrap());
        tokio::time::advance(policy.open_for).await;
        assert!(attempt(&mut circuit, &policy, End::Success));
        circuit.ended(&policy, Instant::now(), hanging[0], End::Failure);
        assert!(attempt(&mut circuit, &policy, End::Success));
        assert!(circuit.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_it_opened_says_nothing_afterwards() {
        let policy = policy();
        let mut circuit = Circuit::new(Instant::now());
        let early = circuit.admit(&policy, Instant::now()).unwrap();
        for _ in 0..4 {
            attempt(&mut circuit, &policy, End::Failure);
        }
        tokio::time::advance(policy.open_for).await;
        let now = Instant::now();
        circuit.admit(&policy, now).unwrap();
        circuit.ended(&policy, now, early, End::Failure);
        assert!(circuit.admits(&policy, now), "the second probe");
    }
}
