use std::time::Duration;

use super::InvalidPolicy;

/// Leaves out, for a while, addresses whose calls fail more than those of the others ([gRFC A50]).
///
/// Attempts are counted per address. Every `interval` the addresses are compared: those that stand out are ejected, which
/// is to the load-balancing policy as if they had no connection; they come back by themselves. An attempt that ends with OK
/// is a success, one with CANCELLED says nothing of the server and is not counted, any other is a failure.
///
/// It works with the policies that have a connection to each address, so not with `pick_first`. The default has neither
/// algorithm, and does nothing.
///
/// ```
/// use wireloom::{Channel, FailurePercentageEjection, LoadBalancing, OutlierDetection};
///
/// # fn example() -> Result<(), wireloom::Status> {
/// let channel = Channel::builder("dns:///greeters:50051")
///     .load_balancing(LoadBalancing::RoundRobin)
///     .outlier_detection(OutlierDetection {
///         failure_percentage_ejection: Some(FailurePercentageEjection {
///             threshold: 50,
///             ..FailurePercentageEjection::default()
///         }),
///         ..OutlierDetection::default()
///     })
///     .lazy()?;
/// # Ok(())
/// # }
/// ```
///
/// [gRFC A50]: https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// The time between one comparison and the next; above zero. The default is 10 seconds.
    pub interval: Duration,
    /// How long an address is ejected for, times how often it has been lately. The default is 30 seconds.
    pub base_ejection_time: Duration,
    /// The longest that an address is ejected for, unless `base_ejection_time` is longer. The default is 300 seconds.
    pub max_ejection_time: Duration,
    /// No further address is ejected while so many of all addresses are, in percent; one can always be. At most 100; the
    /// default is 10.
    pub max_ejection_percent: u32,
    /// Ejects addresses whose success rate is far below the mean of all. The default is not to.
    pub success_rate_ejection: Option<SuccessRateEjection>,
    /// Ejects addresses whose failures are above a threshold. The default is not to.
    pub failure_percentage_ejection: Option<FailurePercentageEjection>,
}

/// When an address is ejected because its success rate is far below the mean of all: of [`OutlierDetection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRateEjection {
    /// How many standard deviations below the mean is too far, in thousandths. The default is 1900.
    pub stdev_factor: u32,
    /// How likely an address is to be ejected that should be, in percent; at most 100, which is the default.
    pub enforcement_percentage: u32,
    /// Nothing is done where fewer addresses than this have had `request_volume`. The default is 5.
    pub minimum_hosts: u32,
    /// How many attempts an address must have had in an interval to be compared. The default is 100.
    pub request_volume: u32,
}

/// When an address is ejected because too many of its attempts fail: of [`OutlierDetection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentageEjection {
    /// More failures than this are too many, in percent of the address's attempts; at most 100. The default is 85.
    pub threshold: u32,
    /// How likely an address is to be ejected that should be, in percent; at most 100, which is the default.
    pub enforcement_percentage: u32,
    /// Nothing is done where there are fewer addresses than this. The default is 5.
    pub minimum_hosts: u32,
    /// How many attempts an address must have had in an interval to be looked at. The default is 50.
    pub request_volume: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            success_rate_ejection: None,
            failure_percentage_ejection: None,
        }
    }
}

impl Default for SuccessRateEjection {
    fn default() -> Self {
        Self {
            stdev_factor: 1900,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 100,
        }
    }
}

impl Default for FailurePercentageEjection {
    fn default() -> Self {
        Self {
            threshold: 85,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 50,
        }
    }
}

impl OutlierDetection {
    /// Checks what the proposal demands of the fields, and that there is an interval.
    ///
    /// # Errors
    ///
    /// Says what must hold.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        if self.interval.is_zero() {
            return Err(InvalidPolicy("interval must be above zero"));
        }
        let success_rate = self.success_rate_ejection;
        let failures = self.failure_percentage_ejection;
        let percentages = [
            Some(self.max_ejection_percent),
            success_rate.map(|ejection| ejection.enforcement_percentage),
            failures.map(|ejection| ejection.enforcement_percentage),
            failures.map(|ejection| ejection.threshold),
        ];
        if percentages
            .into_iter()
            .flatten()
            .any(|percent| percent > 100)
        {
            return Err(InvalidPolicy("percentages must be at most 100"));
        }
        Ok(())
    }

    /// Whether it has an algorithm by which to eject.
    pub(crate) fn ejects(&self) -> bool {
        self.success_rate_ejection.is_some() || self.failure_percentage_ejection.is_some()
    }

    /// How long an address is ejected that has been `times` lately.
    pub(crate) fn ejection_time(&self, times: u32) -> Duration {
        let longest = self.base_ejection_time.max(self.max_ejection_time);
        self.base_ejection_time.saturating_mul(times).min(longest)
    }
}
