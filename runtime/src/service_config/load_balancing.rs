//! Which load-balancing policy a config asks for ([gRFC A21]).
//!
//! [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md

use super::{
    InvalidServiceConfig,
    json::{BOOL, Form, Node, Object, STRING, integer},
    outlier_detection,
};
use crate::policy::{LoadBalancing, OutlierDetection, RingHash, is_ascii_key, is_ring_size};

/// How the config of a policy is read.
type Read = fn(&Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig>;

/// What is around another policy.
const OUTLIER_DETECTION: &str = "outlier_detection_experimental";

/// The policies there are.
const SUPPORTED: [(&str, Read); 4] = [
    ("pick_first", read_pick_first),
    ("round_robin", |_| Ok(LoadBalancing::RoundRobin)),
    ("least_request_experimental", read_least_request),
    ("ring_hash_experimental", read_ring_hash),
];

/// As gRFC A48 has it: at least 2; more than 10 are as 10.
const CHOICE_COUNT: Form<u32> = Form {
    expected: "a whole number of at least 2",
    read: |value| {
        let count = integer(value).filter(|count| *count >= 2)?;
        Some(count.min(10) as u32)
    },
};

fn read_pick_first(config: &Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig> {
    let shuffle = config.optional("shuffleAddressList", BOOL)?;
    Ok(LoadBalancing::PickFirst {
        shuffle_address_list: shuffle.unwrap_or_default(),
    })
}

fn read_least_request(config: &Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig> {
    let choice_count = config.optional("choiceCount", CHOICE_COUNT)?.unwrap_or(2);
    Ok(LoadBalancing::LeastRequest {
        choice_count,
        slow_start: None,
    })
}

const RING_SIZE: Form<u64> = Form {
    expected: "a whole number from 1 to 8388608",
    read: |value| integer(value).filter(|size| is_ring_size(*size)),
};

/// As gRFC A76 has it; an empty key is none.
const HASH_HEADER: Form<Option<String>> = Form {
    expected: "a metadata key that does not end with -bin",
    read: |value| match value.as_str()? {
        "" => Some(None),
        key => is_ascii_key(key).then(|| Some(key.to_owned())),
    },
};

fn read_ring_hash(config: &Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig> {
    let default = RingHash::default();
    let min = config.optional("minRingSize", RING_SIZE)?;
    let max = config.optional("maxRingSize", RING_SIZE)?;
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        return Err(InvalidServiceConfig::new(
            config.path_of("maxRingSize"),
            format!("is {max}"),
            format!("at least minRingSize, which is {min}"),
        ));
    }
    let max_ring_size = max.unwrap_or(RingHash::CAP).min(RingHash::CAP);
    let header = config.optional("requestHashHeader", HASH_HEADER)?;
    Ok(LoadBalancing::RingHash(RingHash {
        request_hash_header: header.flatten(),
        min_ring_size: min.unwrap_or(default.min_ring_size).min(max_ring_size),
        max_ring_size,
    }))
}

/// What a config asks for.
#[derive(Default)]
pub(super) struct Asked {
    /// The first policy that is supported; `None` where none is asked for.
    pub(super) load_balancing: Option<LoadBalancing>,
    /// What is around it.
    pub(super) outlier_detection: Option<OutlierDetection>,
}

impl From<LoadBalancing> for Asked {
    fn from(policy: LoadBalancing) -> Self {
        Self {
            load_balancing: Some(policy),
            outlier_detection: None,
        }
    }
}

pub(super) fn read(config: &Object<'_>) -> Result<Asked, InvalidServiceConfig> {
    let deprecated = config.get("loadBalancingPolicy")?;
    let asked = match &deprecated {
        Some(policy) => policy.read(STRING)?.to_ascii_lowercase(),
        None => String::new(),
    };
    if let Some(policies) = config.get("loadBalancingConfig")? {
        return read_list(&policies, Place::Outermost);
    }
    match (deprecated, asked.as_str()) {
        (None, _) | (_, "" | "unspecified") => Ok(Asked::default()),
        // It is a name alone, so only policies that need no config can be meant.
        (Some(_), "pick_first") => Ok(LoadBalancing::default().into()),
        (Some(_), "round_robin") => Ok(LoadBalancing::RoundRobin.into()),
        (Some(policy), _) => Err(policy.invalid("one of pick_first, round_robin")),
    }
}

/// Where a list of policies is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outermost,
    /// Within a policy that needs another.
    Child,
}

/// The first of the list that is supported.
fn read_list(policies: &Node<'_>, place: Place) -> Result<Asked, InvalidServiceConfig> {
    let entries = policies.list()?;
    let entries: Vec<_> = entries.iter().map(read_entry).collect::<Result<_, _>>()?;
    for (name, policy) in &entries {
        if name == OUTLIER_DETECTION && place == Place::Outermost {
            return read_outlier_detection(policy);
        }
        if let Some(read) = supported(name) {
            return read(policy).map(Asked::from);
        }
    }
    let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
    let reason = match names.as_slice() {
        [] => "is empty".to_owned(),
        names => format!("has only {}", names.join(", ")),
    };
    let expected = format!("a list with {}", one_of_supported());
    Err(InvalidServiceConfig::new(policies.path(), reason, expected))
}

fn read_outlier_detection(config: &Object<'_>) -> Result<Asked, InvalidServiceConfig> {
    let outlier_detection = outlier_detection::read(config)?;
    let Some(child) = config.get("childPolicy")? else {
        return Err(config.missing("childPolicy", "a list of policies"));
    };
    let asked = read_list(&child, Place::Child)?;
    Ok(Asked {
        outlier_detection: Some(outlier_detection),
        ..asked
    })
}

fn supported(name: &str) -> Option<Read> {
    let mut policies = SUPPORTED.iter();
    let (_, read) = policies.find(|(supported, _)| *supported == name)?;
    Some(*read)
}

/// The name of an entry, and its only field: the policy's config.
fn read_entry<'a>(entry: &Node<'a>) -> Result<(String, Object<'a>), InvalidServiceConfig> {
    let object = entry.object()?;
    let mut policies = object.fields();
    match (policies.next(), policies.next()) {
        (Some((name, policy)), None) => {
            let policy = policy.object()?;
            Ok((name.to_owned(), policy))
        }
        (first, _) => Err(InvalidServiceConfig::new(
            entry.path(),
            match first {
                None => "names no policy",
                Some(_) => "names more than one policy",
            },
            "an object with one policy, such as {\"pick_first\": {}}",
        )),
    }
}

fn one_of_supported() -> String {
    format!("one of {}", SUPPORTED.map(|(name, _)| name).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_config::ServiceConfig;

    fn rejected(json: &str) -> InvalidServiceConfig {
        ServiceConfig::from_json(json).expect_err(json)
    }

    fn policy(json: &str) -> Option<LoadBalancing> {
        let config = ServiceConfig::from_json(json).expect(json);
        config.load_balancing().cloned()
    }

    #[test]
    fn rule_12_the_first_supported_policy_wins() {
        for json in [
            r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": false}}]}"#,
            r#"{"loadBalancingConfig": [{"xds_experimental": {"a": 1}}, {"pick_first": {}}]}"#,
            r#"{"loadBalancingPolicy": "PICK_FIRST"}"#,
            r#"{"loadBalancingPolicy": "round_robin", "loadBalancingConfig": [{"pick_first": {}}]}"#,
        ] {
            assert_eq!(policy(json), Some(LoadBalancing::default()), "{json}");
        }
        for json in ["{}", r#"{"loadBalancingPolicy": "UNSPECIFIED"}"#] {
            assert_eq!(policy(json), None, "{json}");
        }
    }

    #[test]
    fn each_policy_is_read() {
        let of = |entry: &str| policy(&format!(r#"{{"loadBalancingConfig": [{entry}]}}"#));
        assert_eq!(
            of(r#"{"round_robin": {}}"#),
            Some(LoadBalancing::RoundRobin)
        );
        for (config, choice_count) in [
            ("{}", 2),
            (r#"{"choiceCount": 3}"#, 3),
            (r#"{"choice_count": 99}"#, 10),
        ] {
            let entry = format!(r#"{{"least_request_experimental": {config}}}"#);
            let expected = LoadBalancing::LeastRequest {
                choice_count,
                slow_start: None,
            };
            assert_eq!(of(&entry), Some(expected));
        }
        assert_eq!(
            of(r#"{"pick_first": {"shuffleAddressList": true}}"#),
            Some(LoadBalancing::PickFirst {
                shuffle_address_list: true
            })
        );
        let error = rejected(
            r#"{"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 1}}]}"#,
        );
        assert_eq!(
            error.field(),
            "loadBalancingConfig[0].least_request_experimental.choiceCount"
        );
    }

    #[test]
    fn a_ring_hash_has_a_key_and_sizes() {
        let ring = |header: Option<&str>, min_ring_size, max_ring_size| {
            Some(LoadBalancing::RingHash(RingHash {
                request_hash_header: header.map(str::to_owned),
                min_ring_size,
                max_ring_size,
            }))
        };
        let entry = |config: &str| {
            format!(r#"{{"loadBalancingConfig": [{{"ring_hash_experimental": {{{config}}}}}]}}"#)
        };
        for (config, expected) in [
            ("", ring(None, 1024, 4096)),
            (r#""requestHashHeader": """#, ring(None, 1024, 4096)),
            (
                r#""requestHashHeader": "session-id""#,
                ring(Some("session-id"), 1024, 4096),
            ),
            (
                r#""min_ring_size": "5", "max_ring_size": 6"#,
                ring(None, 5, 6),
            ),
            (r#""maxRingSize": 100"#, ring(None, 100, 100)),
            (
                r#""minRingSize": 5000, "maxRingSize": 8388608"#,
                ring(None, 4096, 4096),
            ),
        ] {
            assert_eq!(policy(&entry(config)), expected, "{config}");
        }
        for (config, field) in [
            (r#""requestHashHeader": "trace-bin""#, "requestHashHeader"),
            (r#""requestHashHeader": "a b""#, "requestHashHeader"),
            (r#""minRingSize": 0"#, "minRingSize"),
            (r#""maxRingSize": 8388609"#, "maxRingSize"),
            (r#""minRingSize": 3, "maxRingSize": 2"#, "maxRingSize"),
        ] {
            let path = format!("loadBalancingConfig[0].ring_hash_experimental.{field}");
            assert_eq!(rejected(&entry(config)).field(), path, "{config}");
        }
    }

    #[test]
    fn rule_12_without_a_supported_policy_the_config_is_rejected() {
        let error = rejected(r#"{"loadBalancingConfig": [{"grpclb": {}}, {"my_lb": {}}]}"#);
        assert_eq!(error.field(), "loadBalancingConfig");
        assert_eq!(error.reason(), "has only grpclb, my_lb");
        assert_eq!(
            error.expected(),
            "a list with one of pick_first, round_robin, least_request_experimental, ring_hash_experimental"
        );
        assert_eq!(
            rejected(r#"{"loadBalancingConfig": []}"#).reason(),
            "is empty"
        );
        let error = rejected(r#"{"loadBalancingPolicy": "Grpclb"}"#);
        assert_eq!(error.reason(), r#"is "Grpclb""#);
    }

    #[test]
    fn rule_12_each_entry_has_one_policy_with_its_config() {
        for (entry, path) in [
            (r#"{}"#, ""),
            (r#"{"grpclb": {}, "pick_first": {}}"#, ""),
            (r#""pick_first""#, ""),
            (r#"{"grpclb": 1}"#, ".grpclb"),
            (r#"{"pick_first": null}"#, ".pick_first"),
        ] {
            let error = rejected(&format!(
                r#"{{"loadBalancingConfig": [{{"pick_first": {{}}}}, {entry}]}}"#
            ));
            assert_eq!(error.field(), format!("loadBalancingConfig[1]{path}"));
        }
    }
}
