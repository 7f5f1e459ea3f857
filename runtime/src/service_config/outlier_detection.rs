//! The fields of `outlier_detection_experimental` ([gRFC A50]), its child policy apart.
//!
//! [gRFC A50]: https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md

use super::{
    InvalidServiceConfig,
    durations::{DURATION, DURATION_ABOVE_ZERO},
    json::{Form, Object, integer},
};
use crate::policy::{FailurePercentageEjection, OutlierDetection, SuccessRateEjection};

const PERCENTAGE: Form<u32> = Form {
    expected: "a whole number of at most 100",
    read: |value| Some(integer(value).filter(|percent| *percent <= 100)? as u32),
};

const COUNT: Form<u32> = Form {
    expected: "a whole number of at most 4294967295",
    read: |value| u32::try_from(integer(value)?).ok(),
};

pub(super) fn read(config: &Object<'_>) -> Result<OutlierDetection, InvalidServiceConfig> {
    let defaults = OutlierDetection::default();
    let duration = |name, default| Ok(config.optional(name, DURATION)?.unwrap_or(default));
    let success_rate = config.get("successRateEjection")?;
    let failures = config.get("failurePercentageEjection")?;
    Ok(OutlierDetection {
        interval: config
            .optional("interval", DURATION_ABOVE_ZERO)?
            .unwrap_or(defaults.interval),
        base_ejection_time: duration("baseEjectionTime", defaults.base_ejection_time)?,
        max_ejection_time: duration("maxEjectionTime", defaults.max_ejection_time)?,
        max_ejection_percent: config
            .optional("maxEjectionPercent", PERCENTAGE)?
            .unwrap_or(defaults.max_ejection_percent),
        success_rate_ejection: success_rate
            .map(|node| read_success_rate(&node.object()?))
            .transpose()?,
        failure_percentage_ejection: failures
            .map(|node| read_failures(&node.object()?))
            .transpose()?,
    })
}

fn read_success_rate(config: &Object<'_>) -> Result<SuccessRateEjection, InvalidServiceConfig> {
    let defaults = SuccessRateEjection::default();
    let count = |name, default| Ok(config.optional(name, COUNT)?.unwrap_or(default));
    Ok(SuccessRateEjection {
        stdev_factor: count("stdevFactor", defaults.stdev_factor)?,
        enforcement_percentage: config
            .optional("enforcementPercentage", PERCENTAGE)?
            .unwrap_or(defaults.enforcement_percentage),
        minimum_hosts: count("minimumHosts", defaults.minimum_hosts)?,
        request_volume: count("requestVolume", defaults.request_volume)?,
    })
}

fn read_failures(config: &Object<'_>) -> Result<FailurePercentageEjection, InvalidServiceConfig> {
    let defaults = FailurePercentageEjection::default();
    let count = |name, default| Ok(config.optional(name, COUNT)?.unwrap_or(default));
    let percentage = |name, default| Ok(config.optional(name, PERCENTAGE)?.unwrap_or(default));
    Ok(FailurePercentageEjection {
        threshold: percentage("threshold", defaults.threshold)?,
        enforcement_percentage: percentage(
            "enforcementPercentage",
            defaults.enforcement_percentage,
        )?,
        minimum_hosts: count("minimumHosts", defaults.minimum_hosts)?,
        request_volume: count("requestVolume", defaults.request_volume)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{policy::LoadBalancing, service_config::ServiceConfig};

    fn config(fields: &str) -> Result<ServiceConfig, InvalidServiceConfig> {
        ServiceConfig::from_json(&format!(
            r#"{{"loadBalancingConfig": [{{"outlier_detection_experimental": {{{fields}}}}}]}}"#
        ))
    }

    #[test]
    fn all_fields_are_read() {
        let config = config(
            r#"
            "interval": "1s", "baseEjectionTime": "2s", "maxEjectionTime": "3.5s", "maxEjectionPercent": 50,
            "successRateEjection": {"stdevFactor": 1, "enforcementPercentage": 2, "minimumHosts": 3, "requestVolume": 4},
            "failurePercentageEjection": {"threshold": 5, "enforcementPercentage": 6, "minimumHosts": 7, "requestVolume": 8},
            "childPolicy": [{"unknown": {}}, {"round_robin": {}}]"#,
        )
        .unwrap();
        assert_eq!(config.load_balancing(), Some(&LoadBalancing::RoundRobin));
        let expected = OutlierDetection {
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(2),
            max_ejection_time: Duration::from_millis(3500),
            max_ejection_percent: 50,
            success_rate_ejection: Some(SuccessRateEjection {
                stdev_factor: 1,
                enforcement_percentage: 2,
                minimum_hosts: 3,
                request_volume: 4,
            }),
            failure_percentage_ejection: Some(FailurePercentageEjection {
                threshold: 5,
                enforcement_percentage: 6,
                minimum_hosts: 7,
                request_volume: 8,
            }),
        };
        assert_eq!(config.outlier_detection(), Some(&expected));
    }

    #[test]
    fn what_is_not_said_is_the_proposals_default() {
        let child = r#""childPolicy": [{"round_robin": {}}]"#;
        let read = config(child).unwrap();
        assert_eq!(read.outlier_detection(), Some(&OutlierDetection::default()));
        let read = config(&format!(
            r#"{child}, "successRateEjection": {{}}, "failurePercentageEjection": {{}}"#
        ))
        .unwrap();
        let expected = OutlierDetection {
            success_rate_ejection: Some(SuccessRateEjection::default()),
            failure_percentage_ejection: Some(FailurePercentageEjection::default()),
            ..OutlierDetection::default()
        };
        assert_eq!(read.outlier_detection(), Some(&expected));
    }

    #[test]
    fn an_invalid_field_is_named() {
        for (fields, path) in [
            (r#""interval": "-1s""#, ".interval"),
            (r#""interval": "0s""#, ".interval"),
            (r#""maxEjectionPercent": 101"#, ".maxEjectionPercent"),
            (
                r#""failurePercentageEjection": {"threshold": 101}"#,
                ".failurePercentageEjection.threshold",
            ),
            (
                r#""successRateEjection": {"enforcementPercentage": 101}"#,
                ".successRateEjection.enforcementPercentage",
            ),
            (r#""childPolicy": [{"nobodys": {}}]"#, ".childPolicy"),
            (r#""interval": "1s""#, ".childPolicy"),
            (
                r#""childPolicy": [{"outlier_detection_experimental": {}}]"#,
                ".childPolicy",
            ),
        ] {
            let error = config(fields).expect_err(fields);
            let expected = format!("loadBalancingConfig[0].outlier_detection_experimental{path}");
            assert_eq!(error.field(), expected);
        }
    }
}
