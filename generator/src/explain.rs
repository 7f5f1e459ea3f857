//! Explain: a method's policy in force, and where each value was set.

use std::fmt;

use crate::error::Error;
use crate::model::{AttemptPolicy, Method, MethodPolicy, Model, Origin};
use crate::suggest;

/// The policies in force and where each value was set; `Display` is a table for each method.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    methods: Vec<Explained>,
}

/// A method and the rows of its table.
#[derive(Clone, Debug, PartialEq)]
struct Explained {
    name: String,
    rows: Vec<[String; 3]>,
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
    Ok(Explanation { methods })
}

/// The rows of a method's table: a value, what it is, and where it was set.
fn rows(method: &Method) -> Vec<[String; 3]> {
    let policy = &method.policy;
    let mut rows = vec![timeout(policy)];
    let Some(attempts) = &policy.attempts else {
        let in_force = "none but transparent ones".to_owned();
        rows.push([
            "retries".to_owned(),
            in_force,
            set_by(policy.no_retry.as_ref()),
        ]);
        return rows;
    };
    let mut row = |value: &str, in_force: String| {
        rows.push([value.to_owned(), in_force, set_by(Some(&attempts.origin))]);
    };
    let codes = |codes: &[crate::model::StatusCode]| {
        let names: Vec<&str> = codes.iter().map(|code| code.proto.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    match &attempts.value {
        AttemptPolicy::Retry(retry) => {
            row("retry_policy.max_attempts", retry.max_attempts.to_string());
            row(
                "retry_policy.initial_backoff",
                retry.initial_backoff.proto.clone(),
            );
            row("retry_policy.max_backoff", retry.max_backoff.proto.clone());
            row(
                "retry_policy.backoff_multiplier",
                retry.backoff_multiplier.to_string(),
            );
            row(
                "retry_policy.retryable_status_codes",
                codes(&retry.retryable_status_codes),
            );
        }
        AttemptPolicy::Hedging(hedging) => {
            row(
                "hedging_policy.max_attempts",
                hedging.max_attempts.to_string(),
            );
            row(
                "hedging_policy.hedging_delay",
                hedging.hedging_delay.proto.clone(),
            );
            row(
                "hedging_policy.non_fatal_status_codes",
                codes(&hedging.non_fatal_status_codes),
            );
        }
    }
    rows
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
        }
        Ok(())
    }
}
