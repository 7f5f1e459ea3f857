//! A service config's choices in DNS TXT records ([gRFC A2]).
//!
//! [gRFC A2]: https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md

use super::{
    InvalidServiceConfig, ServiceConfig,
    json::{self, Form, Node, Object, STRING},
    read::Reading,
};

/// What a TXT record that holds choices begins with.
const ATTRIBUTE: &str = "grpc_config=";

/// What `clientLanguage` calls this client.
const LANGUAGE: &str = "rust";

const CHOICE_FIELDS: [&str; 4] = [
    "clientLanguage",
    "percentage",
    "clientHostname",
    "serviceConfig",
];

const PERCENTAGE: Form<u8> = Form {
    expected: "an integer from 0 to 100",
    // Narrower than proto JSON: the proposal has a regular expression for the digits.
    read: |value| {
        let percentage = u8::try_from(value.as_u64()?).ok()?;
        (percentage <= 100).then_some(percentage)
    },
};

/// The client that choices are matched against.
pub(super) struct Client<'a> {
    pub(super) hostname: &'a str,
    pub(super) percentage: u8,
}

/// Reads the choices of the first record that has them, and the config of the first one that matches.
pub(super) fn choose<'a>(
    records: impl IntoIterator<Item = &'a str>,
    client: &Client<'_>,
) -> Result<Option<ServiceConfig>, InvalidServiceConfig> {
    let mut records = records.into_iter();
    let Some(choices) = records.find_map(|record| record.strip_prefix(ATTRIBUTE)) else {
        return Ok(None);
    };
    let choices = json::parse(choices)?;
    let mut chosen = None;
    // The criteria of all choices are checked, so that all clients agree on whether the record is valid; the configs
    // of those that do not match are not, since they may be in terms that only other languages know.
    for choice in Node::root(&choices).list()? {
        let choice = choice.object()?;
        let matches = matches(&choice, client)?;
        let Some(config) = choice.exact("serviceConfig") else {
            return Err(choice.missing("serviceConfig", "a service config: an object"));
        };
        config.object()?;
        if matches && chosen.is_none() {
            chosen = Some(config);
        }
    }
    let config = chosen
        .as_ref()
        .map(|config| ServiceConfig::read(config, Reading::Strict));
    config.transpose()
}

/// Whether every criterion that the choice has holds for `client`.
fn matches(choice: &Object<'_>, client: &Client<'_>) -> Result<bool, InvalidServiceConfig> {
    let mut all = true;
    for (name, criterion) in choice.fields() {
        all &= match name {
            _ if criterion.is_null() && CHOICE_FIELDS.contains(&name) => true,
            "clientLanguage" => any(&criterion, |language| {
                language.eq_ignore_ascii_case(LANGUAGE)
            })?,
            "percentage" => client.percentage < criterion.read(PERCENTAGE)?,
            "clientHostname" => any(&criterion, |hostname| hostname == client.hostname)?,
            "serviceConfig" => true,
            _ => {
                return Err(InvalidServiceConfig::new(
                    criterion.path(),
                    "is unknown, so that it cannot be told which clients it is for",
                    format!("one of {}", CHOICE_FIELDS.join(", ")),
                ));
            }
        };
    }
    Ok(all)
}

/// Whether a list of strings is empty or has one that `matches`.
fn any(list: &Node<'_>, matches: impl Fn(&str) -> bool) -> Result<bool, InvalidServiceConfig> {
    let strings = list.list()?;
    let strings = strings.iter().map(|item| item.read(STRING));
    let strings = strings.collect::<Result<Vec<_>, _>>()?;
    Ok(strings.is_empty() || strings.iter().any(|string| matches(string)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The health-check service of the config that the choices give `host` with this percentage.
    fn chosen(choices: &str, percentage: u8) -> Option<String> {
        let record = format!("grpc_config={choices}");
        let config = ServiceConfig::from_dns_txt([record.as_str()], "host", percentage).unwrap();
        config.map(|config| config.health_check_service().unwrap_or_default().to_owned())
    }

    /// A choice with these criteria, and a config that `chosen` calls by `name`.
    fn choice(criteria: &str, name: &str) -> String {
        let comma = if criteria.is_empty() { "" } else { "," };
        format!(
            r#"{{{criteria}{comma} "serviceConfig": {{"healthCheckConfig": {{"serviceName": "{name}"}}}}}}"#
        )
    }

    fn rejected_choices(choices: &str) -> InvalidServiceConfig {
        let record = format!("grpc_config={choices}");
        ServiceConfig::from_dns_txt([record.as_str()], "host", 0).expect_err(choices)
    }

    #[test]
    fn rule_14_the_first_choice_that_matches_wins() {
        let choices = format!("[{}, {}]", choice("", "first"), choice("", "second"));
        assert_eq!(chosen(&choices, 0).as_deref(), Some("first"));
        let choices = format!(
            "[{}, {}]",
            choice(r#""clientLanguage": ["go"]"#, "go"),
            choice("", "any")
        );
        assert_eq!(chosen(&choices, 0).as_deref(), Some("any"));
        assert_eq!(chosen("[]", 0), None);
    }

    #[test]
    fn rule_14_the_language_is_rust_in_any_case() {
        for (language, matches) in [
            (r#"["go", "RUST"]"#, true),
            ("[]", true),
            ("null", true),
            (r#"["go", "c++"]"#, false),
        ] {
            let choices = format!(
                "[{}]",
                choice(&format!(r#""clientLanguage": {language}"#), "x")
            );
            assert_eq!(chosen(&choices, 0).is_some(), matches, "{language}");
        }
    }

    #[test]
    fn rule_14_a_percentage_matches_that_share_of_draws() {
        for percentage in [0, 1, 50, 99, 100] {
            let choices = format!(
                "[{}]",
                choice(&format!(r#""percentage": {percentage}"#), "x")
            );
            let share = (0..100)
                .filter(|drawn| chosen(&choices, *drawn).is_some())
                .count();
            assert_eq!(share, percentage);
        }
    }

    #[test]
    fn rule_14_the_hostname_is_matched_exactly() {
        for (hostnames, matches) in [
            (r#"["other", "host"]"#, true),
            ("[]", true),
            (r#"["HOST", "host.example"]"#, false),
        ] {
            let choices = format!(
                "[{}]",
                choice(&format!(r#""clientHostname": {hostnames}"#), "x")
            );
            assert_eq!(chosen(&choices, 0).is_some(), matches, "{hostnames}");
        }
    }

    #[test]
    fn rule_14_all_criteria_must_match() {
        let criteria =
            r#""clientLanguage": ["rust"], "percentage": 50, "clientHostname": ["host"]"#
                .to_owned();
        let choices = format!("[{}]", choice(&criteria, "x"));
        assert!(chosen(&choices, 49).is_some());
        assert!(chosen(&choices, 50).is_none());
        let choices = format!("[{}]", choice(&criteria.replace("host\"]", "h\"]"), "x"));
        assert!(chosen(&choices, 49).is_none());
    }

    #[test]
    fn rule_14_only_records_of_the_attribute_count() {
        let with_config = format!("grpc_config=[{}]", choice("", "x"));
        let records = [
            "v=spf1 -all",
            " grpc_config=[]",
            "GRPC_CONFIG=[]",
            &with_config,
            "grpc_config=not json",
        ];
        let config = ServiceConfig::from_dns_txt(records, "host", 0).unwrap();
        assert_eq!(config.unwrap().health_check_service(), Some("x"));
        assert_eq!(
            ServiceConfig::from_dns_txt(records[..3].iter().copied(), "host", 0),
            Ok(None)
        );
        assert_eq!(ServiceConfig::from_dns_txt([], "host", 0), Ok(None));
    }

    #[test]
    fn rule_14_an_invalid_choice_rejects_the_record() {
        let good = choice("", "good");
        for (criteria, field) in [
            (r#""clientLanguage": "rust""#, "clientLanguage"),
            (r#""clientLanguage": [1]"#, "clientLanguage[0]"),
            (r#""percentage": 101"#, "percentage"),
            (r#""percentage": -1"#, "percentage"),
            (r#""percentage": 5.0"#, "percentage"),
            (r#""percentage": "5""#, "percentage"),
            (r#""clientHostname": {}"#, "clientHostname"),
            (r#""clientZone": ["a"]"#, "clientZone"),
            (r#""client_language": null"#, "client_language"),
        ] {
            let error = rejected_choices(&format!("[{good}, {}]", choice(criteria, "bad")));
            assert_eq!(error.field(), format!("[1].{field}"), "{criteria}");
        }
        for bad in [
            "{}",
            r#"{"serviceConfig": null}"#,
            r#"{"serviceConfig": []}"#,
        ] {
            let error = rejected_choices(&format!("[{good}, {bad}]"));
            assert_eq!(error.field(), "[1].serviceConfig", "{bad}");
        }
        assert_eq!(rejected_choices("{}").field(), "");
        assert_eq!(rejected_choices("").position(), Some((1, 0)));
    }

    #[test]
    fn rule_14_only_the_config_that_wins_must_be_valid() {
        let invalid = r#""serviceConfig": {"methodConfig": [{"timeout": 1}]}"#;
        let error = rejected_choices(&format!("[{{{invalid}}}]"));
        assert_eq!(error.field(), "[0].serviceConfig.methodConfig[0].timeout");
        let choices = format!(
            r#"[{{"clientLanguage": ["go"], {invalid}}}, {}]"#,
            choice("", "x")
        );
        assert_eq!(chosen(&choices, 0).as_deref(), Some("x"));
    }
}
