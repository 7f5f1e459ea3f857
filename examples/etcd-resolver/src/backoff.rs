use std::time::Duration;

use tokio::time::sleep;

const FIRST: Duration = Duration::from_millis(200);

/// The waits between attempts, while etcd is away: each longer than the one before, up to a longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn up_to(longest: Duration) -> Self {
        let next = FIRST.min(longest);
        Self { next, longest }
    }

    /// An attempt succeeded: the next wait is a short one.
    pub(crate) fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }

    /// Waits a fifth less or more, so that not all who lost etcd come back to it at once.
    pub(crate) async fn wait(&mut self) {
        let wait = self.next;
        self.next = wait.mul_f64(1.6).min(self.longest);
        sleep(wait.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
    }
}
