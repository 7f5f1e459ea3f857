//! What has been counted lately.

use std::time::Duration;

use tokio::time::Instant;

/// How many parts a window has: so finely it moves on.
const SLOTS: usize = 10;

/// Attempts within a time that ends now, to a tenth of it.
#[derive(Debug)]
pub(super) struct Window {
    slots: [Count; SLOTS],
    /// When the first slot there was began, and the number of the current one.
    start: Instant,
    current: u128,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) attempts: u32,
    pub(super) failures: u32,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            slots: [Count::default(); SLOTS],
            start: now,
            current: 0,
        }
    }

    /// Counts an attempt.
    pub(super) fn add(&mut self, failed: bool, now: Instant, length: Duration) {
        self.move_on(now, length);
        let slot = &mut self.slots[index(self.current)];
        slot.attempts = slot.attempts.saturating_add(1);
        slot.failures = slot.failures.saturating_add(u32::from(failed));
    }

    /// What there was within `length`, up to now.
    pub(super) fn count(&mut self, now: Instant, length: Duration) -> Count {
        self.move_on(now, length);
        let add = |sum: Count, slot: &Count| Count {
            attempts: sum.attempts.saturating_add(slot.attempts),
            failures: sum.failures.saturating_add(slot.failures),
        };
        self.slots.iter().fold(Count::default(), add)
    }

    fn move_on(&mut self, now: Instant, length: Duration) {
        let slot = (length.as_nanos() / SLOTS as u128).max(1);
        let number = now.saturating_duration_since(self.start).as_nanos() / slot;
        let passed = number.saturating_sub(self.current).min(SLOTS as u128);
        for past in 0..passed {
            self.slots[index(number - past)] = Count::default();
        }
        self.current = self.current.max(number);
    }
}

fn index(number: u128) -> usize {
    (number % SLOTS as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten_in_tenths() {
        let length = Duration::from_secs(10);
        let mut window = Window::new(Instant::now());
        for second in 0..10 {
            window.add(second % 2 == 0, Instant::now(), length);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        for left in (0..10).rev() {
            let count = window.count(Instant::now(), length);
            let expected = Count {
                attempts: left,
                failures: left / 2,
            };
            assert_eq!(count, expected);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        window.add(true, Instant::now(), length);
        tokio::time::advance(Duration::from_secs(1000)).await;
        assert_eq!(window.count(Instant::now(), length), Count::default());
    }
}
