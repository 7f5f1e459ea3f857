//! Settings from the text of a `wireloom.toml`.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Setting, names, set};
use crate::{server::options::Options, suggest};

/// The table of servers.
const TABLE: &str = "server";

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
        let Some((key, value)) = file.into_iter().find(|(key, _)| key.get_ref() == TABLE) else {
            return;
        };
        let DeValue::Table(table) = value.into_inner() else {
            let place = self.place_of(&key);
            return problems.push(format!("{place}: {TABLE} must be a table"));
        };
        for (key, value) in in_order(table) {
            self.configure_one(options, &key, value, problems);
        }
    }

    fn configure_one(
        &self,
        options: &mut Options,
        key: &Key<'_>,
        value: Spanned<DeValue<'_>>,
        problems: &mut Vec<String>,
    ) {
        let name = key.get_ref();
        let place = self.place_of(key);
        let settings = names::settings_of(name);
        let Some(first) = settings.first() else {
            let help = suggest::help(name, names::all());
            return problems.push(format!("{place}: [{TABLE}] has no key {name}: {help}"));
        };
        match text_of(first, options, value.into_inner()) {
            Ok(text) => set(options, name, &text, &place, problems),
            Err(problem) => problems.push(format!("{place}: {problem}")),
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
fn text_of<T>(setting: &Setting<T>, owner: &T, value: DeValue<'_>) -> Result<String, String> {
    let text = match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Array(values) if (setting.is_list)(owner) => {
            let texts = values.iter().map(|value| value.get_ref().as_str());
            let texts: Option<Vec<_>> = texts.collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    };
    text.ok_or_else(|| {
        let expected = (setting.expected)(owner);
        format!(
            "{} is of another kind, and must be {expected}",
            setting.name
        )
    })
}
