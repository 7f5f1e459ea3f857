//! Which addresses stand out by their failures ([gRFC A50]).
//!
//! [gRFC A50]: https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md

use std::{sync::Weak, time::Duration};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::core::Core;
use crate::policy::OutlierDetection;

/// An interval that is longer is as this: the clock has an end.
const LONGEST_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);

/// Compares a channel's addresses from time to time, until it is dropped.
#[derive(Debug)]
pub(super) struct Outliers {
    pub(super) detection: OutlierDetection,
    /// When the current interval began.
    pub(super) since: Instant,
    task: AbortOnDropHandle<()>,
}

impl Outliers {
    /// Begins to compare, with an interval that began at `since`.
    pub(super) fn begin(
        core: Weak<Core>,
        detection: OutlierDetection,
        since: Instant,
        runtime: &Handle,
    ) -> Self {
        let interval = detection.interval.min(LONGEST_INTERVAL);
        let task = runtime.spawn(async move {
            let mut next = since + interval;
            loop {
                tokio::time::sleep_until(next).await;
                next = Instant::now() + interval;
                match core.upgrade() {
                    Some(core) => core.compare_addresses(),
                    None => return,
                }
            }
        });
        Self {
            detection,
            since,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Whether it compares so, on a runtime that has not ended.
    pub(super) fn compares(&self, detection: &OutlierDetection) -> bool {
        self.detection == *detection && !self.task.is_finished()
    }
}

/// Whether an address is ejected, and how often it has been lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ejection {
    pub(super) since: Option<Instant>,
    pub(super) times: u32,
}

/// An address, and its attempts in the last interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) ejection: Ejection,
}

/// Ejects hosts, and takes back those that have been ejected for long enough. `draw` draws from 0 to 99.
pub(super) fn compare(
    detection: &OutlierDetection,
    hosts: &mut [Host],
    now: Instant,
    mut draw: impl FnMut() -> u32,
) {
    if let Some(ejection) = &detection.success_rate_ejection {
        let had_volume = |host: &Host| host.attempts() >= u64::from(ejection.request_volume);
        // None has a rate without an attempt, however small the volume.
        let rates = hosts.iter().filter(|host| had_volume(host));
        let rates: Vec<_> = rates.filter_map(Host::success_rate).collect();
        if rates.len() >= ejection.minimum_hosts as usize {
            let (mean, deviation) = mean_and_deviation(&rates);
            let least = mean - deviation * f64::from(ejection.stdev_factor) / 1000.0;
            let stands_out =
                |host: &Host| had_volume(host) && host.success_rate().is_some_and(|r| r < least);
            let enforced = || draw() < ejection.enforcement_percentage;
            eject(detection, hosts, now, stands_out, enforced);
        }
    }
    if let Some(ejection) = &detection.failure_percentage_ejection
        && hosts.len() >= ejection.minimum_hosts as usize
    {
        let stands_out = |host: &Host| {
            let attempts = host.attempts();
            attempts >= u64::from(ejection.request_volume)
                && 100 * u128::from(host.failures)
                    > u128::from(ejection.threshold) * u128::from(attempts)
        };
        let enforced = || draw() < ejection.enforcement_percentage;
        eject(detection, hosts, now, stands_out, enforced);
    }
    for Host { ejection, .. } in hosts {
        match ejection.since {
            None => ejection.times = ejection.times.saturating_sub(1),
            Some(since) if now - since > detection.ejection_time(ejection.times) => {
                ejection.since = None;
            }
            Some(_) => {}
        }
    }
}

/// Ejects those that stand out, as long as not too many are ejected.
fn eject(
    detection: &OutlierDetection,
    hosts: &mut [Host],
    now: Instant,
    stands_out: impl Fn(&Host) -> bool,
    mut enforced: impl FnMut() -> bool,
) {
    let is_ejected = |host: &&Host| host.ejection.since.is_some();
    let mut ejected = hosts.iter().filter(is_ejected).count();
    let most = detection.max_ejection_percent as usize * hosts.len();
    for host in hosts {
        if ejected > 0 && 100 * ejected >= most {
            return;
        }
        // An address that is out already has but the rest of its calls to go by, begun before: they eject it no further.
        if host.ejection.since.is_none() && stands_out(host) && enforced() {
            host.ejection.since = Some(now);
            host.ejection.times = host.ejection.times.saturating_add(1);
            ejected += 1;
        }
    }
}

impl Host {
    fn attempts(&self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    fn success_rate(&self) -> Option<f64> {
        let attempts = self.attempts();
        (attempts > 0).then(|| self.successes as f64 / attempts as f64)
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, (squares.sum::<f64>() / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{FailurePercentageEjection, SuccessRateEjection};

    const NOBODY: [usize; 0] = [];

    fn host(successes: u64, failures: u64) -> Host {
        Host {
            successes,
            failures,
            ejection: Ejection::default(),
        }
    }

    fn success_rate(change: impl FnOnce(&mut SuccessRateEjection)) -> OutlierDetection {
        let mut ejection = SuccessRateEjection::default();
        change(&mut ejection);
        OutlierDetection {
            max_ejection_percent: 100,
            success_rate_ejection: Some(ejection),
            ..OutlierDetection::default()
        }
    }

    fn failures(change: impl FnOnce(&mut FailurePercentageEjection)) -> OutlierDetection {
        let mut ejection = FailurePercentageEjection::default();
        change(&mut ejection);
        OutlierDetection {
            max_ejection_percent: 100,
            failure_percentage_ejection: Some(ejection),
            ..OutlierDetection::default()
        }
    }

    /// The positions of those that `detection` ejects of `hosts`, with the draw that ejects most.
    fn ejected(detection: &OutlierDetection, hosts: &[Host]) -> Vec<usize> {
        let mut hosts = hosts.to_vec();
        compare(detection, &mut hosts, Instant::now(), || 0);
        let is_ejected = |at: &usize| hosts[*at].ejection.since.is_some();
        (0..hosts.len()).filter(is_ejected).collect()
    }

    #[test]
    fn a_success_rate_far_below_the_mean_is_ejected() {
        let mut hosts = vec![host(99, 1); 9];
        hosts.push(host(50, 50));
        // The mean is 0.941, the deviation 0.147: less than 0.6617 is too far.
        assert_eq!(ejected(&success_rate(|_| {}), &hosts), [9]);
        hosts[9] = host(50, 49);
        let too_few = "fewer attempts than the volume";
        assert_eq!(ejected(&success_rate(|_| {}), &hosts), NOBODY, "{too_few}");
        // 3 deviations are the farthest that one of ten can be.
        hosts[9] = host(50, 50);
        assert_eq!(
            ejected(&success_rate(|e| e.stdev_factor = 3100), &hosts),
            NOBODY
        );
    }

    #[test]
    fn equal_success_rates_eject_nobody() {
        assert_eq!(ejected(&success_rate(|_| {}), &[host(1, 199); 6]), NOBODY);
    }

    #[test]
    fn success_rates_are_compared_where_enough_hosts_have_volume() {
        let hosts = [
            host(100, 0),
            host(100, 0),
            host(100, 0),
            host(100, 0),
            host(0, 100),
            host(5, 5),
        ];
        assert_eq!(
            ejected(&success_rate(|e| e.minimum_hosts = 6), &hosts),
            NOBODY
        );
        assert_eq!(ejected(&success_rate(|_| {}), &hosts), [4]);
    }

    #[test]
    fn failures_above_the_threshold_are_ejected() {
        let hosts = [
            host(15, 85),
            host(14, 86),
            host(0, 49),
            host(0, 50),
            host(50, 0),
        ];
        assert_eq!(ejected(&failures(|_| {}), &hosts), [1, 3]);
        assert_eq!(ejected(&failures(|e| e.threshold = 100), &hosts), NOBODY);
        assert_eq!(ejected(&failures(|e| e.minimum_hosts = 6), &hosts), NOBODY);
    }

    #[test]
    fn a_host_without_attempts_is_never_ejected() {
        let hosts = [host(0, 0); 5];
        assert_eq!(ejected(&failures(|e| e.request_volume = 0), &hosts), NOBODY);
        assert_eq!(
            ejected(&success_rate(|e| e.request_volume = 0), &hosts),
            NOBODY
        );
    }

    #[test]
    fn ejecting_ends_at_the_greatest_percentage_but_one_is_always_ejected() {
        let hosts = [host(0, 100); 10];
        for (percent, count) in [(0, 1), (10, 1), (11, 2), (50, 5), (100, 10)] {
            let detection = OutlierDetection {
                max_ejection_percent: percent,
                ..failures(|_| {})
            };
            assert_eq!(ejected(&detection, &hosts).len(), count, "{percent}");
        }
    }

    #[test]
    fn enforcement_is_drawn_for_each() {
        let detection = failures(|e| e.enforcement_percentage = 50);
        let mut draws = [49, 50, 0, 99, 7].into_iter();
        let mut hosts = [host(0, 100); 5];
        compare(&detection, &mut hosts, Instant::now(), || {
            draws.next().unwrap()
        });
        let ejected = hosts.map(|host| host.ejection.since.is_some());
        assert_eq!(ejected, [true, false, true, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_ejection_is_longer_than_the_one_before_up_to_the_longest() {
        let detection = OutlierDetection {
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(80),
            ..failures(|e| e.minimum_hosts = 1)
        };
        let mut hosts = [host(0, 100)];
        for seconds in [30, 60, 80, 80] {
            let from = Instant::now();
            hosts[0].failures = 100;
            compare(&detection, &mut hosts, from, || 0);
            assert!(hosts[0].ejection.since.is_some());
            hosts[0].failures = 0;
            tokio::time::advance(Duration::from_secs(seconds)).await;
            compare(&detection, &mut hosts, Instant::now(), || 0);
            assert!(hosts[0].ejection.since.is_some(), "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            compare(&detection, &mut hosts, Instant::now(), || 0);
            assert_eq!(hosts[0].ejection.since, None, "{seconds}");
        }
        // In each interval without an ejection, one is forgotten.
        assert_eq!(hosts[0].ejection.times, 4);
        for times in [3, 2, 1, 0, 0] {
            compare(&detection, &mut hosts, Instant::now(), || 0);
            assert_eq!(hosts[0].ejection.times, times);
        }
    }

    #[test]
    fn the_base_time_holds_where_it_is_longer_than_the_longest() {
        let detection = OutlierDetection {
            base_ejection_time: Duration::from_secs(400),
            ..OutlierDetection::default()
        };
        assert_eq!(detection.ejection_time(3), Duration::from_secs(400));
    }
}
