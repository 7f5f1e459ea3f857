//! The one with the fewest calls in flight, of some that are drawn at random.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{channel::subchannel::Subchannel, policy::SlowStart};

#[derive(Debug)]
pub(super) struct LeastRequest {
    choice_count: u32,
    slow_start: Option<Starting>,
}

/// Subchannels of which some are new.
#[derive(Debug)]
struct Starting {
    slow_start: SlowStart,
    /// Since when each has served.
    since: Vec<Instant>,
    /// From when on none is new.
    until: Instant,
}

impl LeastRequest {
    pub(super) fn new(
        choice_count: u32,
        slow_start: Option<SlowStart>,
        subchannels: &[Arc<Subchannel>],
    ) -> Self {
        let slow_start = slow_start.and_then(|slow_start| {
            let since = subchannels.iter();
            let since: Vec<_> = since.map(|subchannel| subchannel.serving_since()).collect();
            let until = since.iter().max()?.checked_add(slow_start.window)?;
            Some(Starting {
                slow_start,
                since,
                until,
            })
        });
        Self {
            choice_count,
            slow_start,
        }
    }

    /// The same choice over other subchannels.
    pub(super) fn over(&self, subchannels: &[Arc<Subchannel>]) -> Self {
        let slow_start = self.slow_start.as_ref();
        let slow_start = slow_start.map(|starting| starting.slow_start);
        Self::new(self.choice_count, slow_start, subchannels)
    }

    /// The index of a subchannel.
    pub(super) fn choose(&self, subchannels: &[Arc<Subchannel>]) -> usize {
        let in_flight = |index: usize| subchannels[index].turns().in_flight();
        let choices = 0..self.choice_count;
        let weights = self.slow_start.as_ref().and_then(Starting::weights);
        let chosen = match weights {
            None => {
                let chosen = choices.map(|_| fastrand::usize(..subchannels.len()));
                chosen.min_by_key(|index| in_flight(*index))
            }
            // By the weight both where calls are few, and none is in flight, and where they are many.
            Some(weights) => {
                let load = |index: &usize| in_flight(*index) as f64 / weights[*index];
                let chosen = choices.map(|_| draw(&weights));
                chosen.min_by(|one, other| load(one).total_cmp(&load(other)))
            }
        };
        chosen.unwrap_or_default()
    }
}

impl Starting {
    /// The weights, while any is new.
    fn weights(&self) -> Option<Vec<f64>> {
        let now = Instant::now();
        let weight = |since: &Instant| self.slow_start.weight(now.duration_since(*since));
        (now < self.until).then(|| self.since.iter().map(weight).collect())
    }
}

/// A random index, each as often as its weight says.
fn draw(weights: &[f64]) -> usize {
    let mut left = fastrand::f64() * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    // What is left after all of them is an error of rounding.
    drawn.unwrap_or(weights.len() - 1)
}
