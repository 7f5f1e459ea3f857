//! Render: the model to text, through the templates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tera::{Context, ErrorKind, Tera};

use crate::builder::Sides;
use crate::error::Error;
use crate::model::Package;
use crate::source::Source;
use crate::suggest;

/// The generation of generated code that this generator writes: it compiles against a runtime that supports it.
pub(crate) const GENERATION: u32 = 1;

/// The template that the others are included from.
const PACKAGE: &str = "package.rs.tera";

/// The templates that are built in, by name.
const BUILT_IN: [(&str, &str); 10] = [
    (PACKAGE, include_str!("../templates/package.rs.tera")),
    (
        "client.rs.tera",
        include_str!("../templates/client.rs.tera"),
    ),
    (
        "client_method.rs.tera",
        include_str!("../templates/client_method.rs.tera"),
    ),
    (
        "descriptor.rs.tera",
        include_str!("../templates/descriptor.rs.tera"),
    ),
    ("docs.rs.tera", include_str!("../templates/docs.rs.tera")),
    ("mock.rs.tera", include_str!("../templates/mock.rs.tera")),
    (
        "mock_method.rs.tera",
        include_str!("../templates/mock_method.rs.tera"),
    ),
    (
        "policy.rs.tera",
        include_str!("../templates/policy.rs.tera"),
    ),
    (
        "server.rs.tera",
        include_str!("../templates/server.rs.tera"),
    ),
    (
        "server_method.rs.tera",
        include_str!("../templates/server_method.rs.tera"),
    ),
];

/// The templates that stubs are rendered from, by name, as they are built in.
///
/// A folder of templates overrides those of the same names: see [`Builder::templates`](crate::Builder::templates).
pub fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.into_iter()
}

/// The templates of a run: those built in, and the project's own.
pub(crate) struct Templates {
    tera: Tera,
    sources: BTreeMap<String, Source>,
    /// The folder and the files that were read.
    pub(crate) read: Vec<PathBuf>,
}

impl Templates {
    /// Loads the templates, with the project's own in a folder taking the place of those built in.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, a file there is no template's, or a template is wrong.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut sources: BTreeMap<String, Source> = templates()
            .map(|(name, text)| {
                (
                    name.to_owned(),
                    Source::new(format!("{name} (built in)"), text),
                )
            })
            .collect();
        let mut read = Vec::new();
        if let Some(folder) = folder {
            let own = read_folder(folder, &mut read)?;
            check_names(&own)?;
            sources.extend(own);
        }
        let mut tera = Tera::new();
        tera.autoescape_on(Vec::<&str>::new());
        let texts = sources.iter().map(|(name, source)| (name, source.text()));
        if let Err(error) = tera.add_raw_templates(texts) {
            return Err(to_error(error, &sources));
        }
        Ok(Self {
            tera,
            sources,
            read,
        })
    }

    /// Renders what follows a package's messages.
    pub(crate) fn render(
        &self,
        package: &Package,
        sides: Sides,
        mocks: bool,
    ) -> Result<String, Error> {
        let mut context = Context::new();
        context.insert("package", package);
        context.insert("client", &sides.client());
        context.insert("server", &sides.server());
        context.insert("mocks", &mocks);
        context.insert("generation", &GENERATION);
        self.tera
            .render(PACKAGE, &context)
            .map_err(|error| to_error(error, &self.sources))
    }
}

/// What to do where there is no folder of templates.
pub(crate) const NO_FOLDER: &str =
    "`wireloom templates export DIR` writes those that are built in to a folder";

/// Reads every template in a folder.
fn read_folder(folder: &Path, read: &mut Vec<PathBuf>) -> Result<BTreeMap<String, Source>, Error> {
    let unreadable = |path: &Path, error| {
        Error::new(format!(
            "cannot read the templates in {}: {error}",
            path.display()
        ))
        .with_help(NO_FOLDER)
    };
    read.push(folder.to_owned());
    let mut own = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.ends_with(".tera") {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            own.insert(
                name.to_owned(),
                Source::new(path.display().to_string(), text),
            );
            read.push(path);
        }
    }
    read.sort();
    Ok(own)
}

/// A file of the project's own takes the place of a template, or another one uses it; else its name is a mistake.
fn check_names(own: &BTreeMap<String, Source>) -> Result<(), Error> {
    let built_in: BTreeSet<&str> = templates().map(|(name, _)| name).collect();
    for (name, source) in own {
        let used = || {
            own.iter().any(|(other, of_other)| {
                other != name && uses(of_other.text(), name, source.text())
            })
        };
        if !built_in.contains(name.as_str()) && !used() {
            let error = Error::new(format!(
                "there is no template `{name}` to override, and no other template uses this one"
            ))
            .at(source, 0..0, "");
            return Err(error.with_help(suggest::help(name, built_in, "template")));
        }
    }
    Ok(())
}

/// Whether a template includes or extends the one of a name, or calls a component that its text defines.
fn uses(text: &str, name: &str, of_name: &str) -> bool {
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    let mut components = of_name
        .split("component ")
        .skip(1)
        .filter_map(|rest| rest.split_once('('));
    quoted.iter().any(|quoted| text.contains(quoted))
        || components.any(|(component, _)| text.contains(&format!("<{} ", component.trim())))
}

/// tera's error at its place in the template.
fn to_error(error: tera::Error, sources: &BTreeMap<String, Source>) -> Error {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let found = Error::new(report.message());
            match sources.get(report.filename()) {
                Some(source) => found.at(source, report.span().range.clone(), ""),
                None => found,
            }
        }
        _ => {
            let reports = error.to_string();
            let found = reports
                .split("\n\n")
                .map(|report| from_report(report, sources));
            Error::all(found).unwrap_or_else(|| Error::new(reports.clone()))
        }
    }
}

/// An error of a report in text, which is all that tera gives for what it finds when it links templates:
///
/// ```text
/// error: Unknown filter `snake`
///  --> client.rs.tera:5:12
///   |
/// 5 | {{ service.rust_name | snake }}
///   |                        ^^^^^
/// ```
fn from_report(report: &str, sources: &BTreeMap<String, Source>) -> Error {
    let mut lines = report.lines();
    let message = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let mut place = || {
        let place = lines.next()?.trim_start().strip_prefix("--> ")?;
        let mut parts = place.rsplitn(3, ':');
        let (column, line, name) = (parts.next()?, parts.next()?, parts.next()?);
        let source = sources.get(name)?;
        let (column, line): (usize, usize) = (column.parse().ok()?, line.parse().ok()?);
        let start: usize = source
            .text()
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum();
        let on_line = source.text()[start..]
            .chars()
            .take(column - 1)
            .map(char::len_utf8)
            .sum::<usize>();
        let width = report.lines().last()?.matches('^').count();
        Some((source, start + on_line..start + on_line + width))
    };
    match place() {
        Some((source, bytes)) => Error::new(message).at(source, bytes, ""),
        None => Error::new(format!("the templates are wrong: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Result<Templates, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Templates::load(Some(folder.path()))
    }

    fn package() -> Package {
        Package {
            proto_name: "a".to_owned(),
            rust_path: vec!["a".to_owned()],
            services: Vec::new(),
        }
    }

    #[test]
    fn a_template_of_the_same_name_takes_the_place_of_the_built_in_one() {
        let templates = with(&[("package.rs.tera", "// {{ package.proto_name }} <&>")]).unwrap();
        assert_eq!(
            templates.render(&package(), Sides::Both, false).unwrap(),
            "// a <&>"
        );
    }

    #[test]
    fn a_name_that_nothing_uses_is_an_error() {
        let error = with(&[("clients.rs.tera", "")]).err().unwrap();
        assert!(
            error
                .to_string()
                .contains("no template `clients.rs.tera` to override"),
            "{error}"
        );
        assert!(
            with(&[
                ("mine.rs.tera", ""),
                ("package.rs.tera", "{% include \"mine.rs.tera\" %}")
            ])
            .is_ok()
        );
    }

    #[test]
    fn errors_are_at_their_place() {
        let place = |error: Error| error.to_string().rsplit_once('/').unwrap().1.to_owned();
        let syntax = with(&[("client.rs.tera", "\n{% if %}")]).err().unwrap();
        assert!(place(syntax).starts_with("client.rs.tera:2:"));
        let link = with(&[("client.rs.tera", "\n é {{ package | nope }}")])
            .err()
            .unwrap();
        assert_eq!(place(link), "client.rs.tera:2:17: Unknown filter `nope`");
        let render = with(&[("package.rs.tera", "\n{{ package.nope }}")])
            .unwrap()
            .render(&package(), Sides::Both, false);
        assert!(place(render.unwrap_err()).starts_with("package.rs.tera:2:"));
    }
}
