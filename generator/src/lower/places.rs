//! Where the items of a proto stand, and what comments are on them.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;
use prost_reflect::prost_types::source_code_info::Location;

use crate::load::Loaded;
use crate::source::{Columns, Place, Source, Spot};
use crate::text_format::{self, Step};

/// In the path of a service or a method, this leads to its name.
const NAME: i32 = 1;

/// The places of a file's items, by their paths in the descriptor.
pub(super) struct Places<'a> {
    name: &'a str,
    source: Option<&'a Source>,
    columns: Columns,
    locations: HashMap<&'a [i32], &'a Location>,
}

impl<'a> Places<'a> {
    /// The places of a file.
    pub(super) fn new(loaded: &'a Loaded, file: &'a FileDescriptor) -> Self {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let locations = info.into_iter().flat_map(|info| &info.location);
        Self {
            name: file.name(),
            source: loaded.texts.get(file.name()),
            columns: loaded.columns,
            locations: locations
                .map(|location| (location.path.as_slice(), location))
                .collect(),
        }
    }

    /// The comments before and after an item.
    pub(super) fn comments(&self, path: &[i32]) -> (Option<&str>, Option<&str>) {
        let location = self.locations.get(path);
        (
            location.and_then(|location| location.leading_comments.as_deref()),
            location.and_then(|location| location.trailing_comments.as_deref()),
        )
    }

    /// Where the name of an item stands, or else the item.
    pub(super) fn name(&self, path: &[i32]) -> Spot {
        let name = [path, &[NAME]].concat();
        let path = if self.locations.contains_key(name.as_slice()) {
            &name
        } else {
            path
        };
        self.item(path)
    }

    /// Where an item stands.
    pub(super) fn item(&self, path: &[i32]) -> Spot {
        let Some((line, column, end_line, end_column)) =
            self.locations.get(path).and_then(|found| span(found))
        else {
            let file = self.source.map_or(self.name, Source::name).to_owned();
            return Spot::without_text(Place {
                file,
                line: 0,
                column: 0,
            });
        };
        match self.source {
            Some(source) => {
                let start = source.offset(line, column, self.columns);
                let end = source.offset(end_line, end_column, self.columns);
                Spot::in_source(source, start..end.max(start))
            }
            None => Spot::without_text(Place {
                file: self.name.to_owned(),
                line: line + 1,
                column: column + 1,
            }),
        }
    }

    /// Where a field of an option stands.
    ///
    /// `option` is the path of the option; the steps lead on from there, by number for the descriptor's paths and by
    /// name for the text of an option that is one message.
    pub(super) fn option_field(&self, option: &[i32], numbers: &[i32], steps: &[Step<'_>]) -> Spot {
        let path = [option, numbers].concat();
        let mut length = path.len();
        while length > option.len() && !self.locations.contains_key(&path[..length]) {
            length -= 1;
        }
        let statement = self.item(&path[..length]);
        // A number for each step, but for the index into a repeated field.
        let rest = steps.get(length - option.len()..).unwrap_or_default();
        let Some((source, span)) = statement.text() else {
            return statement;
        };
        match text_format::locate(&source.text()[span.clone()], rest) {
            Some(field) => {
                Spot::in_source(source, span.start + field.start..span.start + field.end)
            }
            None => statement,
        }
    }
}

/// Line and column of the start, and of the end, from 0.
fn span(location: &Location) -> Option<(usize, usize, usize, usize)> {
    let part = |index: usize| {
        location
            .span
            .get(index)
            .and_then(|part| usize::try_from(*part).ok())
    };
    let (line, column) = (part(0)?, part(1)?);
    match location.span.len() {
        3 => Some((line, column, line, part(2)?)),
        _ => Some((line, column, part(2)?, part(3)?)),
    }
}
