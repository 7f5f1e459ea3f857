//! Settings from `wireloom.toml` and from the environment.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use tonic::{Code, Status};

use super::{
    METHOD_LIMITS,
    file::{EXAMPLE, File},
    names,
    origins::Sources,
    set,
};
use crate::{server::Server, status, suggest};

/// The file, unless [`FILE_VARIABLE`] names another.
const FILE_NAME: &str = "wireloom.toml";
const FILE_VARIABLE: &str = "WIRELOOM_CONFIG";

/// Before a setting's name in capitals.
const VARIABLES: &str = "WIRELOOM_SERVER_";
const ALL_VARIABLES: &str = "WIRELOOM_";

impl Server {
    /// Sets what the table `[server]` of `wireloom.toml` says, and what variables such as `WIRELOOM_SERVER_SHUTDOWN_TIMEOUT` say,
    /// which win over the file. What is set before this call is a default for both; what is set after it wins over them.
    ///
    /// The file is the one in the working folder, if there is one, or that of `WIRELOOM_CONFIG`. Its keys are the names of
    /// methods of [`Server`], and so are those of the variables, in capitals. [Limits of methods](Self::method_limits) are
    /// tables such as `[server.method_limits."helloworld.Greeter/SayHello"]`, of the file alone. When the server starts, an `info`
    /// event says which file and which variables were read, and a `debug` event shows all values, and where they come from.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a file that cannot be read or is no TOML, for unknown keys, and for values that a setting cannot
    /// have; it names all of them, one per line. A variable that may be meant for a setting and is none is a `warn` event.
    pub fn configured(self) -> Result<Self, Status> {
        let named = named(std::env::var_os(FILE_VARIABLE))?;
        let has_file = named.is_some() || Path::new(FILE_NAME).exists();
        let file = named.unwrap_or_else(|| PathBuf::from(FILE_NAME));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        self.configured_by(&file, has_file, variables)
    }

    fn configured_by(
        mut self,
        file: &Path,
        has_file: bool,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Status> {
        let mut problems = Vec::new();
        if has_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let message = format!(
                    "cannot read {}: {error}; {FILE_VARIABLE} says which file is read",
                    file.display()
                );
                status::with_source(Code::InvalidArgument, message, error)
            })?;
            let file = File {
                name: file.display().to_string(),
                text: &text,
            };
            file.configure(&mut self.options, &mut problems);
        }
        let mut applied = Vec::new();
        for (name, value) in in_order(variables) {
            if let Some(setting) = setting_of(&name) {
                problems.extend(set(&mut self.options, setting, &value, &name).err());
                applied.push(name);
            } else if let Some(meant) = meant_by(&name) {
                tracing::warn!(
                    target: "wireloom",
                    variable = name,
                    "there is no such setting of a server: {meant}"
                );
            }
        }
        if !problems.is_empty() {
            return Err(Status::invalid_argument(problems.join("\n")));
        }
        self.options.origins.sources = Some(Sources {
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            has_file,
            variables: applied,
        });
        Ok(self)
    }
}

/// The file that [`FILE_VARIABLE`] names.
///
/// # Errors
///
/// INVALID_ARGUMENT where it is set to nothing: what was meant cannot be known.
fn named(file: Option<OsString>) -> Result<Option<PathBuf>, Status> {
    match file {
        Some(file) if file.is_empty() => Err(Status::invalid_argument(format!(
            "{FILE_VARIABLE} is empty, and must be the path of a file such as {FILE_NAME}: unset it to read the \
             {FILE_NAME} of the working folder, if there is one"
        ))),
        file => Ok(file.map(PathBuf::from)),
    }
}

/// Those first that set several settings at once: what one of these says for itself wins.
fn in_order(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables: Vec<_> = variables.collect();
    variables.sort_by_cached_key(|(name, _)| {
        let is_of_several = setting_of(name).is_some_and(names::is_of_several);
        (!is_of_several, name.clone())
    });
    variables
}

/// The setting that a variable is for.
fn setting_of(variable: &str) -> Option<&'static str> {
    let name = variable.strip_prefix(VARIABLES)?;
    let mut names = names::all().into_iter();
    names.find(|known| known.to_ascii_uppercase() == name)
}

/// What a variable may be meant for that is none; other variables of this name's beginning are other programs' business.
fn meant_by(variable: &str) -> Option<String> {
    let of_server = variable.strip_prefix(VARIABLES);
    let name = of_server.or_else(|| variable.strip_prefix(ALL_VARIABLES))?;
    // Its names are not those of variables.
    if name == METHOD_LIMITS.to_ascii_uppercase() {
        return Some(format!(
            "limits of methods are for the file alone, as {EXAMPLE}"
        ));
    }
    match suggest::nearest(&name.to_ascii_lowercase(), names::all()) {
        Some(name) => {
            let meant = name.to_ascii_uppercase();
            Some(format!("did you mean {VARIABLES}{meant}?"))
        }
        None => of_server.map(|_| format!("there are {}", names::all().join(", "))),
    }
}

#[cfg(test)]
mod tests;
