use std::time::Duration;

use super::InvalidPolicy;

/// Has a server that is new get its full share of calls only after a while, so that it can fill its caches and compile its
/// code first; as in [Envoy].
///
/// A server is new from its first connection on, and again from the first connection after one could not be made. Its
/// share grows from `min_weight_percent` of a full one as `(age / window)^(1 / aggression)`. Where all servers are equally
/// new, all have the same share.
///
/// [Envoy]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long a server is new; above zero.
    pub window: Duration,
    /// How the share grows: 1, the default, as the age does; above 1 faster at first, below 1 slower. Above zero.
    pub aggression: f64,
    /// The share to begin with, in percent of a full one: above 0, at most 100. The default is 10.
    pub min_weight_percent: f64,
}

impl SlowStart {
    /// A share that grows evenly, from a tenth.
    pub const fn new(window: Duration) -> Self {
        Self {
            window,
            aggression: 1.0,
            min_weight_percent: 10.0,
        }
    }

    /// Checks what must hold of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub const fn validate(&self) -> Result<(), InvalidPolicy> {
        let reason = if self.window.is_zero() {
            "window must be above zero"
        } else if !(self.aggression > 0.0 && self.aggression.is_finite()) {
            "aggression must be above zero and finite"
        } else if !(self.min_weight_percent > 0.0 && self.min_weight_percent <= 100.0) {
            "min_weight_percent must be above 0 and at most 100"
        } else {
            return Ok(());
        };
        Err(InvalidPolicy(reason))
    }

    /// The share of a server of this age: above 0, at most 1.
    pub(crate) fn weight(&self, age: Duration) -> f64 {
        let grown = (age.as_secs_f64() / self.window.as_secs_f64()).powf(1.0 / self.aggression);
        grown.clamp(self.min_weight_percent / 100.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(aggression: f64) -> [f64; 5] {
        let slow_start = SlowStart {
            aggression,
            ..SlowStart::new(Duration::from_secs(100))
        };
        [0, 25, 64, 100, 1000].map(|age| slow_start.weight(Duration::from_secs(age)))
    }

    #[test]
    fn the_share_grows_with_age() {
        assert_eq!(weights(1.0), [0.1, 0.25, 0.64, 1.0, 1.0]);
    }

    #[test]
    fn aggression_bends_the_growth() {
        assert_eq!(weights(2.0), [0.1, 0.5, 0.8, 1.0, 1.0]);
        assert_eq!(weights(0.5), [0.1, 0.1, 0.64 * 0.64, 1.0, 1.0]);
    }
}
