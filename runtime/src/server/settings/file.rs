//! Settings from the text of a `wireloom.toml`.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    LIMITS, METHOD_LIMITS, Setting, name_of_limits, names, set, show_limits, value::NONE, wrong,
};
use crate::{server::options::Options, suggest};

/// The table of servers.
const TABLE: &str = "server";

/// Those of the generator, which reads the same file.
pub(super) const GENERATORS: &[&str] = &["generate", "methods", "packages", "services"];

/// In that of servers, the table of a method's limits.
pub(super) const EXAMPLE: &str = "[server.method_limits.\"helloworld.Greeter/SayHello\"]";

type Key<'a> = Spanned<Cow<'a, str>>;
type Entry<'a> = (Key<'a>, Spanned<DeValue<'a>>);

/// The text of a file, and how it is called.
pub(super) struct File<'a> {
    pub(super) name: String,
    pub(super) text: &'a str,
}

/// What is wrong at a place of the text.
struct Problem {
    at: usize,
    what: String,
}

impl File<'_> {
    /// Sets what the text says; what is wrong with it is told in the order of the lines.
    pub(super) fn configure(&self, options: &mut Options, problems: &mut Vec<String>) {
        let mut found = Vec::new();
        self.configure_all(options, &mut found);
        // What sets several settings at once is read first, wherever it stands.
        found.sort_by_key(|problem| problem.at);
        problems.extend(found.into_iter().map(|problem| problem.what));
    }

    fn configure_all(&self, options: &mut Options, problems: &mut Vec<Problem>) {
        let file = match DeTable::parse(self.text) {
            Ok(file) => file.into_inner(),
            Err(error) => {
                let at = error.span().map_or(self.text.len(), |span| span.start);
                let what = format!("{}: this is no TOML: {}", self.place(at), error.message());
                problems.push(Problem { at, what });
                return;
            }
        };
        for (key, value) in in_order(file) {
            let what = match (key.get_ref().as_ref(), value.into_inner()) {
                (TABLE, DeValue::Table(table)) => {
                    self.configure_server(options, table, problems);
                    continue;
                }
                (name, _) if GENERATORS.contains(&name) => continue,
                (TABLE, _) => format!("{TABLE} must be a table"),
                (name, _) => unknown_table(name),
            };
            problems.push(self.problem(&key, &what));
        }
    }

    fn configure_server(
        &self,
        options: &mut Options,
        table: DeTable<'_>,
        problems: &mut Vec<Problem>,
    ) {
        for (key, value) in in_order(table) {
            let value = value.into_inner();
            match key.get_ref().as_ref() {
                METHOD_LIMITS => self.limit_methods(options, &key, value, problems),
                _ => {
                    let wrong = self.configure_one(options, &key, value).err();
                    let at = key.span().start;
                    problems.extend(wrong.map(|what| Problem { at, what }));
                }
            }
        }
    }

    fn configure_one(
        &self,
        options: &mut Options,
        key: &Key<'_>,
        value: DeValue<'_>,
    ) -> Result<(), String> {
        let name = key.get_ref();
        let place = self.place_of(key);
        let settings = names::settings_of(name);
        let Some(first) = settings.first() else {
            let known = names::all().into_iter().chain([METHOD_LIMITS]);
            let help = suggest::help(name, known);
            return Err(format!("{place}: [{TABLE}] has no key {name}: {help}"));
        };
        let text = text_of(first, options, value);
        let text = text.map_err(|expected| of_another_kind(name, &place, expected))?;
        set(options, name, &text, &place)
    }

    fn limit_methods(
        &self,
        options: &mut Options,
        key: &Key<'_>,
        value: DeValue<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let DeValue::Table(methods) = value else {
            let what = format!(
                "{METHOD_LIMITS} must have a table for each method or service, such as {EXAMPLE}"
            );
            return problems.push(self.problem(key, &what));
        };
        for (method, value) in in_order(methods) {
            match value.into_inner() {
                DeValue::Table(limits) => self.limit(options, &method, limits, problems),
                _ => {
                    let name = method.get_ref();
                    let what = format!(
                        "{METHOD_LIMITS} has {name}, which must be a table of a method or a service, such as {EXAMPLE}"
                    );
                    problems.push(self.problem(&method, &what));
                }
            }
        }
    }

    /// Limits a method, or the methods of a service.
    fn limit(
        &self,
        options: &mut Options,
        method: &Key<'_>,
        table: DeTable<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let name = method.get_ref().trim_start_matches('/');
        let of_code = options.admission.methods.get(name);
        let mut limits = of_code.copied().unwrap_or_default();
        for (key, value) in in_order(table) {
            let (place, value) = (self.place_of(&key), value.into_inner());
            let limit = key.get_ref();
            let Some(setting) = LIMITS.iter().find(|setting| setting.name == limit) else {
                let help = match value {
                    DeValue::Table(_) => {
                        format!("a name that has dots stands in quotes: {EXAMPLE}")
                    }
                    _ => suggest::help(limit, LIMITS.iter().map(|setting| setting.name)),
                };
                let what =
                    format!("[{TABLE}.{METHOD_LIMITS}.\"{name}\"] has no key {limit}: {help}");
                problems.push(self.problem(&key, &what));
                continue;
            };
            let set = match text_of(setting, &limits, value) {
                Ok(text) => (setting.set)(&mut limits, &text)
                    .map_err(|expected| wrong(limit, &text, &place, expected)),
                Err(expected) => Err(of_another_kind(limit, &place, expected)),
            };
            let at = key.span().start;
            problems.extend(set.err().map(|what| Problem { at, what }));
        }
        let place = self.place_of(method);
        let origins = &mut options.origins;
        origins.insert(name_of_limits(name), show_limits(&limits), place);
        options.admission.methods.insert(name.to_owned(), limits);
    }

    fn problem(&self, key: &Key<'_>, what: &str) -> Problem {
        Problem {
            at: key.span().start,
            what: format!("{}: {what}", self.place_of(key)),
        }
    }

    fn place_of(&self, key: &Key<'_>) -> String {
        self.place(key.span().start)
    }

    /// A place for people: file, line and column, from 1.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.name)
    }
}

fn unknown_table(name: &str) -> String {
    let help = match names::all().contains(&name) || name == METHOD_LIMITS {
        true => format!("it belongs in the table [{TABLE}]"),
        false => suggest::help(name, GENERATORS.iter().copied().chain([TABLE])),
    };
    format!("the file has no key {name}: {help}")
}

/// The entries as the file has them, but that those come first that set several settings at once: what one of these says for
/// itself wins.
fn in_order(table: DeTable<'_>) -> Vec<Entry<'_>> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| (!names::is_of_several(key.get_ref()), key.span().start));
    entries
}

/// A value as a variable would have it.
///
/// # Errors
///
/// What it must be.
fn text_of<T>(setting: &Setting<T>, owner: &T, value: DeValue<'_>) -> Result<String, &'static str> {
    let text = match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            Some(read.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        // As the variable has it.
        DeValue::Array(values) if (setting.is_list)(owner) && values.is_empty() => {
            Some(NONE.to_owned())
        }
        DeValue::Array(values) if (setting.is_list)(owner) => {
            let texts = values.iter().map(|value| value.get_ref().as_str());
            let texts: Option<Vec<_>> = texts.collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    };
    text.ok_or_else(|| (setting.expected)(owner))
}

fn of_another_kind(name: &str, place: &str, expected: &str) -> String {
    format!("{place}: {name} is of another kind, and must be {expected}")
}
