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

impl File<'_> {
    pub(super) fn configure(&self, options: &mut Options, problems: &mut Vec<String>) {
        let file = match DeTable::parse(self.text) {
            Ok(file) => file.into_inner(),
            Err(error) => {
                let at = error.span().map_or(self.text.len(), |span| span.start);
                problems.push(format!(
                    "{}: this is no TOML: {}",
                    self.place(at),
                    error.message()
                ));
                return;
            }
        };
        for (key, value) in in_order(file) {
            let place = self.place_of(&key);
            match (key.get_ref().as_ref(), value.into_inner()) {
                (TABLE, DeValue::Table(table)) => self.configure_server(options, table, problems),
                (TABLE, _) => problems.push(format!("{place}: {TABLE} must be a table")),
                (name, _) if GENERATORS.contains(&name) => {}
                (name, _) => problems.push(format!("{place}: {}", unknown_table(name))),
            }
        }
    }

    fn configure_server(
        &self,
        options: &mut Options,
        table: DeTable<'_>,
        problems: &mut Vec<String>,
    ) {
        for (key, value) in in_order(table) {
            let value = value.into_inner();
            match key.get_ref().as_ref() {
                METHOD_LIMITS => self.limit_methods(options, &key, value, problems),
                _ => problems.extend(self.configure_one(options, &key, value).err()),
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
        problems: &mut Vec<String>,
    ) {
        let DeValue::Table(methods) = value else {
            let place = self.place_of(key);
            return problems.push(format!(
                "{place}: {METHOD_LIMITS} must have a table for each method or service, such as {EXAMPLE}"
            ));
        };
        for (method, value) in in_order(methods) {
            match value.into_inner() {
                DeValue::Table(limits) => self.limit(options, &method, limits, problems),
                _ => problems.push(format!(
                    "{}: {METHOD_LIMITS} has {}, which must be a table of a method or a service, such as {EXAMPLE}",
                    self.place_of(&method),
                    method.get_ref()
                )),
            }
        }
    }

    /// Limits a method, or the methods of a service.
    fn limit(
        &self,
        options: &mut Options,
        method: &Key<'_>,
        table: DeTable<'_>,
        problems: &mut Vec<String>,
    ) {
        let name = method.get_ref().trim_start_matches('/');
        let of_code = options.admission.methods.get(name);
        let mut limits = of_code.copied().unwrap_or_default();
        for (key, value) in in_order(table) {
            let (place, value) = (self.place_of(&key), value.into_inner());
            let key = key.get_ref();
            let Some(setting) = LIMITS.iter().find(|setting| setting.name == key) else {
                let help = match value {
                    DeValue::Table(_) => {
                        format!("a name that has dots stands in quotes: {EXAMPLE}")
                    }
                    _ => suggest::help(key, LIMITS.iter().map(|setting| setting.name)),
                };
                problems.push(format!(
                    "{place}: [{TABLE}.{METHOD_LIMITS}.\"{name}\"] has no key {key}: {help}"
                ));
                continue;
            };
            let set = match text_of(setting, &limits, value) {
                Ok(text) => (setting.set)(&mut limits, &text)
                    .map_err(|expected| wrong(key, &text, &place, expected)),
                Err(expected) => Err(of_another_kind(key, &place, expected)),
            };
            problems.extend(set.err());
        }
        let place = self.place_of(method);
        let origins = &mut options.origins;
        origins.insert(name_of_limits(name), show_limits(&limits), place);
        options.admission.methods.insert(name.to_owned(), limits);
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
