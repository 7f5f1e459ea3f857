//! Which load-balancing policy a config asks for ([gRFC A21]).
//!
//! [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md

use super::{
    InvalidServiceConfig,
    json::{Form, Node, Object, STRING, integer},
};
use crate::policy::LoadBalancing;

/// How the config of a policy is read.
type Read = fn(&Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig>;

/// The policies there are.
const SUPPORTED: [(&str, Read); 3] = [
    ("pick_first", |_| Ok(LoadBalancing::PickFirst)),
    ("round_robin", |_| Ok(LoadBalancing::RoundRobin)),
    ("least_request_experimental", read_least_request),
];

/// As gRFC A48 has it: at least 2; more than 10 are as 10.
const CHOICE_COUNT: Form<u32> = Form {
    expected: "a whole number of at least 2",
    read: |value| {
        let count = integer(value).filter(|count| *count >= 2)?;
        Some(count.min(10) as u32)
    },
};

fn read_least_request(config: &Object<'_>) -> Result<LoadBalancing, InvalidServiceConfig> {
    let choice_count = config.optional("choiceCount", CHOICE_COUNT)?.unwrap_or(2);
    Ok(LoadBalancing::LeastRequest { choice_count })
}

/// The first policy that is supported; `None` where none is asked for.
pub(super) fn read(config: &Object<'_>) -> Result<Option<LoadBalancing>, InvalidServiceConfig> {
    let deprecated = config.get("loadBalancingPolicy")?;
    let asked = match &deprecated {
        Some(policy) => policy.read(STRING)?.to_ascii_lowercase(),
        None => String::new(),
    };
    if let Some(policies) = config.get("loadBalancingConfig")? {
        let entries = policies.list()?;
        let entries: Vec<_> = entries.iter().map(read_entry).collect::<Result<_, _>>()?;
        for (name, policy) in &entries {
            if let Some(read) = supported(name) {
                return read(policy).map(Some);
            }
        }
        let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
        let reason = match names.as_slice() {
            [] => "is empty".to_owned(),
            names => format!("has only {}", names.join(", ")),
        };
        let expected = format!("a list with {}", one_of_supported());
        return Err(InvalidServiceConfig::new(policies.path(), reason, expected));
    }
    match (deprecated, asked.as_str()) {
        (None, _) | (_, "" | "unspecified") => Ok(None),
        // It is a name alone, so only policies that need no config can be meant.
        (Some(_), "pick_first") => Ok(Some(LoadBalancing::PickFirst)),
        (Some(_), "round_robin") => Ok(Some(LoadBalancing::RoundRobin)),
        (Some(policy), _) => Err(policy.invalid("one of pick_first, round_robin")),
    }
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
            r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}"#,
            r#"{"loadBalancingConfig": [{"xds_experimental": {"a": 1}}, {"pick_first": {}}]}"#,
            r#"{"loadBalancingPolicy": "PICK_FIRST"}"#,
            r#"{"loadBalancingPolicy": "round_robin", "loadBalancingConfig": [{"pick_first": {}}]}"#,
        ] {
            assert_eq!(policy(json), Some(LoadBalancing::PickFirst), "{json}");
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
            assert_eq!(
                of(&entry),
                Some(LoadBalancing::LeastRequest { choice_count })
            );
        }
        let error = rejected(
            r#"{"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 1}}]}"#,
        );
        assert_eq!(
            error.field(),
            "loadBalancingConfig[0].least_request_experimental.choiceCount"
        );
    }

    #[test]
    fn rule_12_without_a_supported_policy_the_config_is_rejected() {
        let error = rejected(r#"{"loadBalancingConfig": [{"grpclb": {}}, {"my_lb": {}}]}"#);
        assert_eq!(error.field(), "loadBalancingConfig");
        assert_eq!(error.reason(), "has only grpclb, my_lb");
        assert_eq!(
            error.expected(),
            "a list with one of pick_first, round_robin, least_request_experimental"
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
