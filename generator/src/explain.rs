//! Explain: a method's policy in force, where each value was set, and what of it cannot work.

mod rows;
mod warnings;

use std::fmt;

use crate::error::Error;
use crate::model::{ChannelConfig, Model};
use crate::suggest;
use rows::Row;

/// The policies in force, where each value was set, and what of them cannot work or does harm; `Display` is a table for
/// each method, with the warnings below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    methods: Vec<Explained>,
    /// What holds for channels, not for methods, and what of that cannot work; what has no effect; last, what stubs make of
    /// it all.
    remarks: Vec<String>,
}

/// A method and the rows of its table.
#[derive(Clone, Debug, PartialEq)]
struct Explained {
    name: String,
    rows: Vec<Row>,
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
    let is_declared = is_authorization_declared(model);
    let mut methods = Vec::new();
    let mut known = Vec::new();
    for package in &model.packages {
        known.push(package.proto_name.clone());
        for service in &package.services {
            known.push(service.full_name.clone());
            for method in &service.methods {
                let name = format!("{}/{}", service.full_name, method.proto_name);
                if [&package.proto_name, &service.full_name, &name]
                    .into_iter()
                    .any(|name| name == path)
                {
                    let mut rows = rows::rows(&method.policy);
                    if is_declared && method.policy.authorization.is_none() {
                        rows.push(rows::undeclared());
                    }
                    methods.push(Explained {
                        rows,
                        warnings: warnings::of_method(method),
                        notes: method.policy.notes.clone(),
                        name: name.clone(),
                    });
                }
                known.push(name);
            }
        }
    }
    if methods.is_empty() {
        return Err(nothing_to_explain(path, &known));
    }
    let of_channels = model.channel_configs.iter().map(of_channel);
    let notes = model.notes.iter().map(|note| format!("note: {note}"));
    Ok(Explanation {
        methods,
        remarks: of_channels.chain(notes).collect(),
    })
}

/// Whether anything says who may call a method: what nothing is said of, nobody may call then.
fn is_authorization_declared(model: &Model) -> bool {
    let services = model.packages.iter().flat_map(|package| &package.services);
    let mut methods = services.flat_map(|service| &service.methods);
    methods.any(|method| method.policy.authorization.is_some())
}

impl Explanation {
    /// Says what the policies are to tonic's stubs, which have no method descriptors that could carry them.
    pub(crate) fn for_tonic_stubs(mut self) -> Self {
        let warning = "warning: tonic's stubs read no policy, so that none of this but authorization is in force: give the \
                       channel a service config with `Channel::builder(..).service_config(..)`, or defaults of all its calls \
                       with `.call_options(..)`";
        self.remarks.push(warning.to_owned());
        self
    }
}

fn nothing_to_explain(path: &str, known: &[String]) -> Error {
    let what = match known.iter().any(|known| known == path) {
        true => format!("`{path}` has no methods"),
        false => format!("there is no method, service or package `{path}` in the protos"),
    };
    let others = known.iter().map(String::as_str);
    let others = others.filter(|known| !known.is_empty() && *known != path);
    Error::new(what).with_help(suggest::help(path, others, "name"))
}

/// What a service config says that no method can take. A channel is not to be given what it refuses.
fn of_channel(config: &ChannelConfig) -> String {
    if let Some(warning) = warnings::of_channel(config) {
        return format!("warning: {warning}");
    }
    let mut what = Vec::new();
    if !config.load_balancing_policies.is_empty() {
        let names = config.load_balancing_policies.join(", ");
        what.push(format!("loadBalancingConfig ({names})"));
    }
    if let Some(service) = &config.health_check_service {
        what.push(format!("healthCheckConfig (service {service:?})"));
    }
    format!(
        "note: {} of {} holds for a channel: give it the file with `Channel::builder(..).service_config(..)`",
        what.join(" and "),
        config.file
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}\n", method.name)?;
            rows::write_table(f, &method.rows)?;
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
