//! Which load-balancing policy a config asks for ([gRFC A21]).
//!
//! [gRFC A21]: https://github.com/grpc/proposal/blob/master/A21-service-config-error-handling.md

use super::{
    InvalidServiceConfig,
    json::{Node, Object, STRING},
};

/// What holds where a config asks for none.
pub(super) const DEFAULT: &str = "pick_first";

/// The policies there are.
const SUPPORTED: &[&str] = &[DEFAULT];

/// The name of the first policy that is supported; `pick_first` where none is asked for.
pub(super) fn read(config: &Object<'_>) -> Result<&'static str, InvalidServiceConfig> {
    let supported = |name: &str| {
        SUPPORTED
            .iter()
            .copied()
            .find(|supported| *supported == name)
    };
    let deprecated = config.get("loadBalancingPolicy")?;
    let asked = match &deprecated {
        Some(policy) => policy.read(STRING)?.to_ascii_lowercase(),
        None => String::new(),
    };
    if let Some(policies) = config.get("loadBalancingConfig")? {
        let names = policies.list()?;
        let names = names.iter().map(read_entry);
        let names = names.collect::<Result<Vec<_>, _>>()?;
        return names
            .iter()
            .find_map(|name| supported(name))
            .ok_or_else(|| {
                let reason = match names.as_slice() {
                    [] => "is empty".to_owned(),
                    names => format!("has only {}", names.join(", ")),
                };
                let expected = format!("a list with {}", one_of_supported());
                InvalidServiceConfig::new(policies.path(), reason, expected)
            });
    }
    match (deprecated, asked.as_str()) {
        (Some(policy), name) if !matches!(name, "" | "unspecified") => {
            supported(name).ok_or_else(|| policy.invalid(one_of_supported()))
        }
        _ => Ok(DEFAULT),
    }
}

/// The name of an entry, whose only field is its policy's config.
fn read_entry(entry: &Node<'_>) -> Result<String, InvalidServiceConfig> {
    let object = entry.object()?;
    let mut policies = object.fields();
    match (policies.next(), policies.next()) {
        (Some((name, policy)), None) => {
            policy.object()?;
            Ok(name.to_owned())
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
    format!("one of {}", SUPPORTED.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_config::ServiceConfig;

    fn rejected(json: &str) -> InvalidServiceConfig {
        ServiceConfig::from_json(json).expect_err(json)
    }

    #[test]
    fn rule_12_the_first_supported_policy_wins() {
        for json in [
            r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}"#,
            r#"{"loadBalancingConfig": [{"xds_experimental": {"a": 1}}, {"pick_first": {}}]}"#,
            r#"{"loadBalancingPolicy": "PICK_FIRST"}"#,
            r#"{"loadBalancingPolicy": "UNSPECIFIED"}"#,
            r#"{"loadBalancingPolicy": "round_robin", "loadBalancingConfig": [{"pick_first": {}}]}"#,
            "{}",
        ] {
            assert_eq!(
                ServiceConfig::from_json(json)
                    .unwrap()
                    .load_balancing_policy(),
                "pick_first",
                "{json}"
            );
        }
    }

    #[test]
    fn rule_12_without_a_supported_policy_the_config_is_rejected() {
        let error = rejected(r#"{"loadBalancingConfig": [{"grpclb": {}}, {"my_lb": {}}]}"#);
        assert_eq!(error.field(), "loadBalancingConfig");
        assert_eq!(error.reason(), "has only grpclb, my_lb");
        assert_eq!(error.expected(), "a list with one of pick_first");
        assert_eq!(
            rejected(r#"{"loadBalancingConfig": []}"#).reason(),
            "is empty"
        );
        let error = rejected(r#"{"loadBalancingPolicy": "Round_Robin"}"#);
        assert_eq!(error.reason(), r#"is "Round_Robin""#);
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
