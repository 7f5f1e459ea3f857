//! The text of a file that errors point into.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::error::Error;

/// A place in a file, for people: lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, by the name that messages call it.
    pub(crate) file: String,
    /// The line, from 1; 0 where only the file is known.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
}

/// A place and, where the text is at hand, the span that starts there.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    /// The place.
    pub(crate) place: Place,
    text: Option<(Source, Range<usize>)>,
}

impl Spot {
    /// A span of a text.
    pub(crate) fn in_source(source: &Source, span: Range<usize>) -> Self {
        Self {
            place: source.place(span.start),
            text: Some((source.clone(), span)),
        }
    }

    /// A place whose text is not at hand.
    pub(crate) fn without_text(place: Place) -> Self {
        Self { place, text: None }
    }

    /// The text and the span in it, where they are at hand.
    pub(crate) fn text(&self) -> Option<(&Source, Range<usize>)> {
        self.text
            .as_ref()
            .map(|(source, span)| (source, span.clone()))
    }

    /// An error about what is here.
    pub(crate) fn error(&self, message: impl Into<String>, label: impl Into<String>) -> Error {
        let error = Error::new(message);
        match &self.text {
            Some((source, span)) => error.at(source, span.clone(), label),
            None => error.at_place(self.place.clone()),
        }
    }
}

/// How the columns of a descriptor's source information count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Columns {
    /// A tab is one column: protox.
    #[default]
    Bytes,
    /// A tab goes to the next multiple of eight: protoc.
    TabStops,
}

/// The text of a file and the name that messages call it; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Where each line starts.
    lines: Arc<[usize]>,
}

impl Source {
    /// Makes a source of a name, as it is to be printed, and a text.
    pub(crate) fn new(name: impl AsRef<str>, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            name: name.as_ref().into(),
            text: text.into(),
            lines: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// The name that messages call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte of the text is.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = self.char_boundary(offset);
        let line = self.line_at(offset);
        Place {
            file: self.name.to_string(),
            line: line + 1,
            column: self.text[self.lines[line]..offset].chars().count() + 1,
        }
    }

    /// The byte that a line and a column stand for, both from 0 as in a descriptor's source information.
    pub(crate) fn offset(&self, line: usize, column: usize, columns: Columns) -> usize {
        let start = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = self.text[start..].lines().next().unwrap_or_default();
        let within = match columns {
            Columns::Bytes => column,
            Columns::TabStops => {
                let mut reached = 0;
                let before = text.bytes().take_while(|byte| {
                    let more = reached < column;
                    reached += if *byte == b'\t' { 8 - reached % 8 } else { 1 };
                    more
                });
                before.count()
            }
        };
        self.char_boundary(start + within.min(text.len()))
    }

    /// The line that a byte of the text is on, without its line break, and where it starts.
    pub(crate) fn line_of(&self, offset: usize) -> (usize, &str) {
        let start = self.lines[self.line_at(offset)];
        let line = self.text[start..].lines().next().unwrap_or_default();
        (start, line)
    }

    /// The line that a byte of the text is on, from 0.
    fn line_at(&self, offset: usize) -> usize {
        // The first line starts at 0, so that at least one starts at or before any offset.
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    /// The nearest character boundary at or before an offset.
    fn char_boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self
            .text
            .read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_string(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source::new("a.proto", "one\ntwö three\n");
        let place = source.place("one\ntwö ".len());
        assert_eq!(place.to_string(), "a.proto:2:5");
    }

    #[test]
    fn an_offset_inside_a_character_is_its_start() {
        let source = Source::new("a.proto", "ö");
        assert_eq!(source.place(1).column, 1);
    }

    #[test]
    fn an_offset_past_the_end_is_the_end() {
        let source = Source::new("a.proto", "ab\n");
        assert_eq!(source.place(99).to_string(), "a.proto:2:1");
        assert_eq!(source.line_of(99), (3, ""));
    }

    #[test]
    fn a_line_and_a_column_are_an_offset() {
        let source = Source::new("a.proto", "one\ntwo\n");
        assert_eq!(source.offset(1, 2, Columns::Bytes), 6);
        assert_eq!(source.offset(9, 0, Columns::Bytes), 8);
    }

    #[test]
    fn protoc_counts_a_tab_to_the_next_stop() {
        let source = Source::new("a.proto", "\t\tabc");
        assert_eq!(source.offset(0, 17, Columns::TabStops), 3);
        assert_eq!(source.offset(0, 3, Columns::Bytes), 3);
    }

    #[test]
    fn a_line_ends_before_its_break() {
        let source = Source::new("a.proto", "ab\r\ncd\r\n");
        assert_eq!(source.line_of(5), (4, "cd"));
    }
}
