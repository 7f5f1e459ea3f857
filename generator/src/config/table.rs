//! A TOML table that is read key by key, and knows which keys were never asked for.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::source::{Source, Spot};
use crate::suggest;
use crate::syntax::{Code, Written};

/// A table being read.
pub(super) struct Table<'a> {
    source: &'a Source,
    span: Range<usize>,
    /// The keys that are left, with their spans and values.
    entries: Vec<(Written<String>, Spanned<DeValue<'a>>)>,
    /// The keys that were asked for.
    known: Vec<String>,
}

impl<'a> Table<'a> {
    /// Parses a file.
    pub(super) fn parse(source: &'a Source, errors: &mut Vec<Error>) -> Option<Self> {
        match DeTable::parse(source.text()) {
            Ok(table) => {
                let span = table.span();
                Some(Self::new(source, span, table.into_inner()))
            }
            Err(error) => {
                let end = source.text().trim_end().len();
                let span = error.span().unwrap_or(end..end);
                errors.push(
                    Error::new(format!("this is no TOML: {}", error.message()))
                        .at(source, span, "here"),
                );
                None
            }
        }
    }

    fn new(source: &'a Source, span: Range<usize>, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| {
            let spot = Spot::in_source(source, key.span());
            let name = Written {
                value: key.into_inner().into_owned(),
                spot,
            };
            (name, value)
        });
        Self {
            source,
            span,
            entries: entries.collect(),
            known: Vec::new(),
        }
    }

    /// Where the table is.
    pub(super) fn spot(&self) -> Spot {
        Spot::in_source(self.source, self.span.clone())
    }

    /// Knows a key, and leaves its value to others.
    pub(super) fn pass(&mut self, key: &str) {
        let _ = self.take(key);
    }

    /// Takes the value of a key.
    fn take(&mut self, key: &str) -> Option<(Spot, DeValue<'a>)> {
        self.known.push(key.to_owned());
        let at = self
            .entries
            .iter()
            .position(|(name, _)| name.value == key)?;
        let (_, value) = self.entries.remove(at);
        Some((
            Spot::in_source(self.source, value.span()),
            value.into_inner(),
        ))
    }

    /// Takes the value of a key, which must be of a kind.
    fn expect<T>(
        &mut self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
        errors: &mut Vec<Error>,
    ) -> Option<Written<T>> {
        let (spot, value) = self.take(key)?;
        let Some(read) = read(&value) else {
            let message = format!(
                "`{key}` must be {kind}, and is {}",
                article(value.type_str())
            );
            errors.push(spot.error(message, format!("must be {kind}")));
            return None;
        };
        Some(Written { value: read, spot })
    }

    pub(super) fn string(&mut self, key: &str, errors: &mut Vec<Error>) -> Option<Written<String>> {
        self.expect(
            key,
            "a string",
            |value| value.as_str().map(str::to_owned),
            errors,
        )
    }

    pub(super) fn boolean(&mut self, key: &str, errors: &mut Vec<Error>) -> Option<Written<bool>> {
        self.expect(key, "true or false", DeValue::as_bool, errors)
    }

    pub(super) fn integer(&mut self, key: &str, errors: &mut Vec<Error>) -> Option<Written<i64>> {
        self.expect(key, "a whole number", integer, errors)
    }

    pub(super) fn number(&mut self, key: &str, errors: &mut Vec<Error>) -> Option<Written<f64>> {
        let read = |value: &DeValue<'a>| {
            let float = value
                .as_float()
                .and_then(|float| float.as_str().parse().ok());
            // An integer of TOML is at most 64 bits; one that a float cannot hold exactly is no sensible factor.
            float.or_else(|| integer(value).map(|integer| integer as f64))
        };
        self.expect(key, "a number", read, errors)
    }

    /// Takes a list of strings; a key that is missing is an empty one.
    pub(super) fn strings(&mut self, key: &str, errors: &mut Vec<Error>) -> Vec<Written<String>> {
        let list = self.list_of_strings(key, errors);
        list.map(|list| list.value).unwrap_or_default()
    }

    /// Takes a list of strings.
    pub(super) fn list_of_strings(
        &mut self,
        key: &str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<Vec<Written<String>>>> {
        let read = |value: &DeValue<'a>| value.as_str().map(str::to_owned);
        self.list(key, "a string", read, errors)
    }

    /// Takes a list of status codes.
    pub(super) fn codes(
        &mut self,
        key: &str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<Vec<Written<Code>>>> {
        let read = |value: &DeValue<'a>| {
            let name = value.as_str().map(|name| Code::Name(name.to_owned()));
            name.or_else(|| integer(value).map(Code::Number))
        };
        self.list(key, "the name or the number of a status code", read, errors)
    }

    fn list<T>(
        &mut self,
        key: &str,
        kind: &str,
        read: impl Fn(&DeValue<'a>) -> Option<T>,
        errors: &mut Vec<Error>,
    ) -> Option<Written<Vec<Written<T>>>> {
        let (spot, value) = self.take(key)?;
        let Some(elements) = value.as_array() else {
            let message = format!(
                "`{key}` must be a list, and is {}",
                article(value.type_str())
            );
            errors.push(spot.error(message, "must be a list, in brackets"));
            return None;
        };
        let mut list = Vec::new();
        for element in elements.iter() {
            let spot = Spot::in_source(self.source, element.span());
            match read(element.get_ref()) {
                Some(value) => list.push(Written { value, spot }),
                None => {
                    let found = article(element.get_ref().type_str());
                    let message =
                        format!("each value of `{key}` must be {kind}, and this is {found}");
                    errors.push(spot.error(message, format!("must be {kind}")));
                }
            }
        }
        Some(Written { value: list, spot })
    }

    /// Takes a table.
    pub(super) fn table(&mut self, key: &str, errors: &mut Vec<Error>) -> Option<Table<'a>> {
        let (spot, value) = self.take(key)?;
        self.as_table(key, spot, value, errors)
    }

    /// Takes all entries, each of which must be a table.
    pub(super) fn tables(mut self, errors: &mut Vec<Error>) -> Vec<(Written<String>, Table<'a>)> {
        let mut tables = Vec::new();
        for (name, value) in std::mem::take(&mut self.entries) {
            let spot = Spot::in_source(self.source, value.span());
            if let Some(table) = self.as_table(&name.value, spot, value.into_inner(), errors) {
                tables.push((name, table));
            }
        }
        // The order of the file, which TOML's own map does not keep.
        tables.sort_by_key(|(name, _)| (name.spot.place.line, name.spot.place.column));
        tables
    }

    fn as_table(
        &self,
        key: &str,
        spot: Spot,
        value: DeValue<'a>,
        errors: &mut Vec<Error>,
    ) -> Option<Table<'a>> {
        let span = spot.text().map(|(_, span)| span).unwrap_or_default();
        match value {
            DeValue::Table(table) => Some(Table::new(self.source, span, table)),
            other => {
                let message = format!(
                    "`{key}` must be a table, and is {}",
                    article(other.type_str())
                );
                errors.push(spot.error(message, "must be a table"));
                None
            }
        }
    }

    /// Rejects the keys that were never asked for.
    pub(super) fn finish(self, errors: &mut Vec<Error>) {
        for (name, _) in &self.entries {
            let known = self.known.iter().map(String::as_str);
            let error = name.spot.error(
                format!("there is no key `{}` here", name.value),
                "unknown key",
            );
            errors.push(error.with_help(suggest::help(&name.value, known, "key")));
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The name of a kind of value, for a sentence.
fn article(kind: &str) -> String {
    match kind.starts_with(['a', 'i']) {
        true => format!("an {kind}"),
        false => format!("a {kind}"),
    }
}
