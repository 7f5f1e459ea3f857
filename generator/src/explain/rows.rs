//! The rows of a method's table: each value in force, and where it was set.

use std::fmt;

use crate::model::{
    AttemptPolicy, Authorization, MethodPolicy, Origin, Origins, RetryThrottling, Sourced,
    StatusCode, Who,
};

/// A row of a method's table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    value: String,
    in_force: String,
    set_by: String,
}

impl Row {
    fn new(value: impl Into<String>, in_force: impl Into<String>, origin: Option<&Origin>) -> Self {
        Self {
            value: value.into(),
            in_force: in_force.into(),
            set_by: set_by(origin),
        }
    }
}

/// The rows of what is set, and of the timeout and the retries even where there are none.
pub(super) fn rows(policy: &MethodPolicy) -> Vec<Row> {
    let mut rows = vec![timeout(policy)];
    rows.extend(attempts(policy));
    if let Some(wait) = &policy.wait_for_ready {
        rows.push(Row::new(
            "wait_for_ready",
            wait.value.to_string(),
            Some(&wait.origin),
        ));
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
            let count = bytes.value.count.to_string();
            rows.push(Row::new(name, count, Some(&bytes.origin)));
        }
    }
    rows.extend(policy.retry_throttling.iter().flat_map(throttling));
    rows.extend(policy.authorization.iter().flat_map(authorization));
    rows
}

fn timeout(policy: &MethodPolicy) -> Row {
    let (in_force, origin) = match &policy.timeout {
        Some(timeout) => (timeout.value.proto.as_str(), Some(&timeout.origin)),
        None => ("none", policy.no_timeout.as_ref()),
    };
    Row::new("timeout", in_force, origin)
}

/// The rows of retries or hedging.
fn attempts(policy: &MethodPolicy) -> Vec<Row> {
    let Some(Sourced { value, origin }) = &policy.attempts else {
        let in_force = "none but transparent ones";
        return vec![Row::new("retries", in_force, policy.no_retry.as_ref())];
    };
    let codes = |codes: &[StatusCode]| {
        let names: Vec<&str> = codes.iter().map(|code| code.proto.as_str()).collect();
        match names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        }
    };
    match value {
        AttemptPolicy::Retry(retry) => {
            let codes = codes(&retry.retryable_status_codes);
            let fields = [
                ("max_attempts", retry.max_attempts.to_string()),
                ("initial_backoff", retry.initial_backoff.proto.clone()),
                ("max_backoff", retry.max_backoff.proto.clone()),
                ("backoff_multiplier", retry.backoff_multiplier.to_string()),
                ("retryable_status_codes", codes),
            ];
            of_fields("retry_policy", fields, &retry.origins, origin)
        }
        AttemptPolicy::Hedging(hedging) => {
            let codes = codes(&hedging.non_fatal_status_codes);
            let fields = [
                ("max_attempts", hedging.max_attempts.to_string()),
                ("hedging_delay", hedging.hedging_delay.proto.clone()),
                ("non_fatal_status_codes", codes),
            ];
            of_fields("hedging_policy", fields, &hedging.origins, origin)
        }
    }
}

fn throttling(throttling: &Sourced<RetryThrottling>) -> Vec<Row> {
    let Sourced { value, origin } = throttling;
    let tokens = |thousandths: u32| (f64::from(thousandths) / 1000.0).to_string();
    let fields = [
        ("max_tokens", tokens(value.max_tokens_thousandths)),
        ("token_ratio", tokens(value.token_ratio_thousandths)),
    ];
    of_fields("retry_throttling", fields, &value.origins, origin)
}

fn authorization(authorization: &Sourced<Authorization>) -> Vec<Row> {
    let Sourced { value, origin } = authorization;
    let row = |field: &str, in_force: &str| {
        let name = format!("authorization{field}");
        Row::new(name, in_force, Some(origin))
    };
    match value.who {
        Who::Public => vec![row("", "public")],
        Who::Authenticated => vec![row("", "authenticated")],
        Who::Required => [
            (".scopes", &value.scopes),
            (".any_scopes", &value.any_scopes),
            (".identities", &value.identities),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(field, values)| row(field, &values.join(", ")))
        .collect(),
    }
}

/// The row of a method that nothing says who may call, where that is said of others.
pub(super) fn undeclared() -> Row {
    Row::new("authorization", "nobody may call", None)
}

/// The rows of a policy's fields.
fn of_fields<const N: usize>(
    policy: &str,
    fields: [(&str, String); N],
    origins: &Origins,
    of_policy: &Origin,
) -> Vec<Row> {
    let rows = fields.map(|(field, in_force)| {
        let origin = match origins.get(field) {
            // Nobody wrote the policy down.
            None if origins.is_empty() => Some(of_policy),
            origin => origin,
        };
        Row::new(format!("{policy}.{field}"), in_force, origin)
    });
    rows.into()
}

/// Writes rows below a heading, in columns.
pub(super) fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let heading = Row {
        value: "value".to_owned(),
        in_force: "in force".to_owned(),
        set_by: "set by".to_owned(),
    };
    let rows: Vec<&Row> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: fn(&Row) -> &str| {
        let widths = rows.iter().map(|row| column(row).chars().count());
        widths.max().unwrap_or(0)
    };
    let (first, second) = (width(|row| &row.value), width(|row| &row.in_force));
    for Row {
        value,
        in_force,
        set_by,
    } in rows
    {
        writeln!(f, "  {value:first$}  {in_force:second$}  {set_by}")?;
    }
    Ok(())
}

/// Where a value was set, in words.
pub(super) fn set_by(origin: Option<&Origin>) -> String {
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
