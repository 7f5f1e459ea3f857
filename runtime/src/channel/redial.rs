//! When a lost connection is made again.

use std::time::Duration;

use crate::policy::Backoff;

/// The waits after the loss of a connection that served calls, before the backoff: a server that restarts is back
/// before its callers are told.
const AFTER_LOSS: [Duration; 5] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// The schedule of attempts to connect.
#[derive(Debug)]
pub(super) struct Redial {
    backoff: Backoff,
    after_loss: &'static [Duration],
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Another attempt, soon: calls wait for it.
    Soon(Duration),
    /// Calls fail; there is another attempt at that time from the start of the last.
    Later(Duration),
}

impl Redial {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::of_connections(),
            after_loss: &[],
        }
    }

    /// A connection that served calls was lost.
    pub(super) fn lost(&mut self) {
        self.backoff = Backoff::of_connections();
        self.after_loss = &AFTER_LOSS;
    }

    /// An attempt failed, or the connection that it made was lost at once; `jitter` is from 0 to 1.
    pub(super) fn failed(&mut self, jitter: f64) -> Next {
        match self.after_loss.split_first() {
            Some((wait, rest)) => {
                self.after_loss = rest;
                Next::Soon(wait.mul_f64(0.8 + 0.4 * jitter))
            }
            None => Next::Later(self.backoff.next_delay(jitter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(redial: &mut Redial, times: usize) -> Vec<Next> {
        (0..times).map(|_| redial.failed(0.5)).collect()
    }

    const fn later(milliseconds: u64) -> Next {
        Next::Later(Duration::from_millis(milliseconds))
    }

    #[test]
    fn failures_are_spaced_by_the_connection_backoff() {
        let waits = failed(&mut Redial::new(), 12);
        assert_eq!(waits[..3], [later(1000), later(1600), later(2560)]);
        assert_eq!(waits[11], later(120_000));
    }

    #[test]
    fn after_a_loss_five_attempts_come_soon() {
        let mut redial = Redial::new();
        failed(&mut redial, 3);
        redial.lost();
        let waits = failed(&mut redial, 6);
        let soon = [25, 50, 100, 200, 400].map(|ms| Next::Soon(Duration::from_millis(ms)));
        assert_eq!(waits[..5], soon);
        assert_eq!(waits[5], later(1000));
    }
}
