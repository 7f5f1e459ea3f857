//! Explain: a method's policy in force, where each value was set, and what of it cannot work.

mod warnings;

use std::fmt;

use crate::error::Error;
use crate::model::{
    AttemptPolicy, ChannelConfig, Method, MethodPolicy, Model, Origin, Origins, RetryThrottling,
    StatusCode,
};
use crate::suggest;

/// The policies in force, where each value was set, and what of them cannot work or does harm; `Display` is a table for
/// each method, with the warnings below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    methods: Vec<Explained>,
    /// What holds for channels, not for methods, and what of that cannot work.
    remarks: Vec<String>,
}

/// A method and the rows of its table.
#[derive(Clone, Debug, PartialEq)]
struct Explained {
    name: String,
    rows: Vec<[String; 3]>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

/// Explains the method that `path` names, or every method of the service or the package.
///
/// A method is `package.Service/Method`, as in `wireloom.toml`; a slash in front, as on the wire, does no harm.
///
/// # Errors
///
/// If nothing is called that.
pub(crate) fn explain(model: &Model, path: &str) -> Result<Explanation, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut methods = Vec::new();
    let mut known = Vec::new();
    for package in &model.packages {
        known.push(package.proto_name.clone());
        for service in &package.services {
            known.push(service.full_name.clone());
            for method in &service.methods {
                let name = format!("{}/{}", service.full_name, method.proto_name);
                if [&package.proto_name, &service.full_name, &name].contains(&&path.to_owned()) {
                    methods.push(Explained {
                        rows: rows(method),
                        warnings: warnings::warnings(method),
                        notes: method.policy.notes.clone(),
                        name: name.clone(),
                    });
                }
                known.push(name);
            }
        }
    }
    if methods.is_empty() {
        let what = match known.iter().any(|known| known == path) {
            true => format!("`{path}` has no methods"),
            false => format!("there is no method, service or package `{path}` in the protos"),
        };
        let known = known
            .iter()
            .map(String::as_str)
            .filter(|known| !known.is_empty() && *known != path);
        return Err(Error::new(what).with_help(suggest::help(path, known, "name")));
    }
    Ok(Explanation {
        methods,
        remarks: model.channel_configs.iter().flat_map(of_channel).collect(),
    })
}

/// What a service config says that no method can take.
fn of_channel(config: &ChannelConfig) -> Vec<String> {
    let mut what = Vec::new();
    if !config.load_balancing_policies.is_empty() {
        let names = config.load_balancing_policies.join(", ");
        what.push(format!("loadBalancingConfig ({names})"));
    }
    if let Some(service) = &config.health_check_service {
        what.push(format!("healthCheckConfig (service {service:?})"));
    }
    let note = format!(
        "note: {} of {} holds for a channel: give it the file with `Channel::builder(..).service_config(..)`",
        what.join(" and "),
        config.file
    );
    let warning = warnings::of_channel(config).map(|warning| format!("warning: {warning}"));
    warning.into_iter().chain([note]).collect()
}

/// The rows of a method's table: a value, what it is, and where it was set.
fn rows(method: &Method) -> Vec<[String; 3]> {
    let policy = &method.policy;
    let mut rows = vec![timeout(policy)];
    attempts(policy, &mut rows);
    let mut row = |value: &str, in_force: String, origin: &Origin| {
        rows.push([value.to_owned(), in_force, set_by(Some(origin))]);
    };
    if let Some(wait) = &policy.wait_for_ready {
        row("wait_for_ready", wait.value.to_string(), &wait.origin);
    }
    for (name, bytes) in [
        (
            "max_request_message_bytes",
            &policy.max_request_message_bytes,
        ),
        (
            "max_response_message_bytes",
            &policy.max_response_message_bytes,
        ),
    ] {
        if let Some(bytes) = bytes {
            row(name, bytes.value.count.to_string(), &bytes.origin);
        }
    }
    if let Some(throttling) = &policy.retry_throttling {
        let RetryThrottling {
            max_tokens_thousandths,
            token_ratio_thousandths,
            origins,
            ..
        } = &throttling.value;
        let tokens = |thousandths: u32| (f64::from(thousandths) / 1000.0).to_string();
        rows.extend(fields(
            "retry_throttling",
            [
                ("max_tokens", tokens(*max_tokens_thousandths)),
                ("token_ratio", tokens(*token_ratio_thousandths)),
            ],
            origins,
            &throttling.origin,
        ));
    }
    rows
}

/// The rows of a policy's fields.
fn fields<const N: usize>(
    policy: &str,
    fields: [(&str, String); N],
    origins: &Origins,
    of_policy: &Origin,
) -> [[String; 3]; N] {
    fields.map(|(field, in_force)| {
        let origin = match origins.get(field) {
            // Nobody wrote the policy down.
            None if origins.is_empty() => Some(of_policy),
            origin => origin,
        };
        [format!("{policy}.{field}"), in_force, set_by(origin)]
    })
}

/// The rows of retries or hedging.
fn attempts(policy: &MethodPolicy, rows: &mut Vec<[String; 3]>) {
    let Some(attempts) = &policy.attempts else {
        let in_force = "none but transparent ones".to_owned();
        rows.push([
            "retries".to_owned(),
            in_force,
            set_by(policy.no_retry.as_ref()),
        ]);
        return;
    };
    let codes = |codes: &[StatusCode]| {
        let names: Vec<&str> = codes.iter().map(|code| code.proto.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    match &attempts.value {
        AttemptPolicy::Retry(retry) => rows.extend(fields(
            "retry_policy",
            [
                ("max_attempts", retry.max_attempts.to_string()),
                ("initial_backoff", retry.initial_backoff.proto.clone()),
                ("max_backoff", retry.max_backoff.proto.clone()),
                ("backoff_multiplier", retry.backoff_multiplier.to_string()),
                (
                    "retryable_status_codes",
                    codes(&retry.retryable_status_codes),
                ),
            ],
            &retry.origins,
            &attempts.origin,
        )),
        AttemptPolicy::Hedging(hedging) => rows.extend(fields(
            "hedging_policy",
            [
                ("max_attempts", hedging.max_attempts.to_string()),
                ("hedging_delay", hedging.hedging_delay.proto.clone()),
                (
                    "non_fatal_status_codes",
                    codes(&hedging.non_fatal_status_codes),
                ),
            ],
            &hedging.origins,
            &attempts.origin,
        )),
    }
}

fn timeout(policy: &MethodPolicy) -> [String; 3] {
    let (in_force, origin) = match &policy.timeout {
        Some(timeout) => (timeout.value.proto.clone(), Some(&timeout.origin)),
        None => ("none".to_owned(), policy.no_timeout.as_ref()),
    };
    ["timeout".to_owned(), in_force, set_by(origin)]
}

/// Where a value was set, in words.
fn set_by(origin: Option<&Origin>) -> String {
    match origin {
        None | Some(Origin::Default) => "default".to_owned(),
        Some(Origin::IdempotencyLevel { file, line }) => {
            format!("default for its idempotency_level, {}", place(file, *line))
        }
        Some(Origin::ServiceOption { file, line }) => {
            format!("option (wireloom.service), {}", place(file, *line))
        }
        Some(Origin::MethodOption { file, line }) => {
            format!("option (wireloom.method), {}", place(file, *line))
        }
        Some(Origin::Config { file, line, key }) => format!("[{key}], {}", place(file, *line)),
        Some(Origin::ServiceConfig { file, line, key }) => {
            format!("{key}, {}", place(file, *line))
        }
    }
}

fn place(file: &str, line: usize) -> String {
    match line {
        0 => file.to_owned(),
        line => format!("{file}:{line}"),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}\n", method.name)?;
            let heading = ["value", "in force", "set by"].map(str::to_owned);
            let rows: Vec<&[String; 3]> = std::iter::once(&heading).chain(&method.rows).collect();
            let width = |column: usize| {
                rows.iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            };
            let (first, second) = (width(0), width(1));
            for [value, in_force, set_by] in rows {
                writeln!(f, "  {value:first$}  {in_force:second$}  {set_by}")?;
            }
            if !method.warnings.is_empty() || !method.notes.is_empty() {
                writeln!(f)?;
            }
            for warning in &method.warnings {
                writeln!(f, "  warning: {warning}")?;
            }
            for note in &method.notes {
                writeln!(f, "  note: {note}")?;
            }
        }
        for remark in &self.remarks {
            writeln!(f, "\n{remark}")?;
        }
        Ok(())
    }
}
