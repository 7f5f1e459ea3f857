//! The one error of the generator: what is wrong, where, and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, SourceCode};

use crate::source::{Place, Source, Spot};

/// Why nothing was generated: what is wrong, where, and what to do.
///
/// `Display` is one line, `file:line:column: what`, with the place where there is one. `Debug` is the whole report in
/// plain text, with the source line, a caret and the help, since that is what a `build.rs` that returns the error
/// prints. As a [`miette::Diagnostic`] it carries the source, the labels and the help for a graphical report.
///
/// One value may stand for several errors: the others are the diagnostic's [`related`](Diagnostic::related) ones.
pub struct Error(Box<Report>);

struct Report {
    message: String,
    place: Option<Place>,
    source: Option<Source>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    /// Other places that this error is about, in other files.
    notes: Vec<Error>,
    /// Other errors that were found with this one.
    others: Vec<Error>,
}

/// The most characters of a line that are shown: a policy on one line fits, and JSON may have all of a file in one.
const WIDEST: usize = 160;
/// Of those, the ones in front of what a label is about.
const IN_FRONT: usize = 40;

impl Error {
    /// Makes an error without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Report {
            message: message.into(),
            place: None,
            source: None,
            labels: Vec::new(),
            help: None,
            cause: None,
            notes: Vec::new(),
            others: Vec::new(),
        }))
    }

    /// Points at a span of bytes in a source, with a word on what is there.
    ///
    /// The first span gives the place; later ones must be in the same source.
    pub(crate) fn at(
        mut self,
        source: &Source,
        span: Range<usize>,
        label: impl Into<String>,
    ) -> Self {
        let label = label.into();
        let label = (!label.is_empty()).then_some(label);
        if self.0.source.is_none() {
            self.0.place = Some(source.place(span.start));
            self.0.source = Some(source.clone());
        }
        self.0
            .labels
            .push(LabeledSpan::new(label, span.start, span.len()));
        self
    }

    /// Points at a spot as well, in a note if it is not in the same source.
    pub(crate) fn and_at(self, spot: &Spot, label: impl Into<String>) -> Self {
        let label = label.into();
        match (&self.0.source, spot.text()) {
            (Some(here), Some((there, span))) if here.name() == there.name() => {
                self.at(&there.clone(), span, label)
            }
            _ => self.with_note(spot.error(label, "")),
        }
    }

    /// Points at a place whose text is not at hand.
    pub(crate) fn at_place(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// Says what to do.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds the error that this one is due to.
    pub(crate) fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds another place that the error is about: its message says what is there.
    pub(crate) fn with_note(mut self, note: Error) -> Self {
        self.0.notes.push(note);
        self
    }

    /// Joins errors that were found together into one, those that were joined before too; `None` if there are none.
    pub(crate) fn all(errors: impl IntoIterator<Item = Error>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for mut error in errors {
            let others = std::mem::take(&mut error.0.others);
            first.0.others.push(error);
            first.0.others.extend(others);
        }
        Some(first)
    }

    /// Line and column, by which errors in one file have an order; those without a place are the first.
    pub(crate) fn position(&self) -> Option<(usize, usize)> {
        let place = self.0.place.as_ref();
        place.map(|place| (place.line, place.column))
    }

    /// What to do, if there is something to say.
    #[cfg(test)]
    pub(crate) fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)?;
        match self.0.others.len() {
            0 => Ok(()),
            1 => f.write_str(" (and one more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)?;
        for other in &self.0.others {
            f.write_str("\n\n")?;
            other.0.write(f)?;
        }
        Ok(())
    }
}

impl Report {
    /// Writes the report of this error, without the others that were found with it.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        if let Some(source) = &self.source {
            self.write_labels(f, source)?;
        }
        for note in &self.notes {
            f.write_str("\n  ")?;
            note.0.write(f)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", help.replace('\n', "\n        "))?;
        }
        Ok(())
    }

    /// Writes each labelled line with carets under what its label is about.
    fn write_labels(&self, f: &mut fmt::Formatter<'_>, source: &Source) -> fmt::Result {
        for label in &self.labels {
            let number = source.place(label.offset()).line.to_string();
            let (start, line) = source.line_of(label.offset());
            let (before, spanned) = line
                .split_at_checked(label.offset() - start)
                .unwrap_or((line, ""));
            let spanned = spanned.get(..label.len()).unwrap_or(spanned);
            let (line, before, spanned) = clip(line, before, spanned);
            // A tab in front of the span stays one, so that the caret stands under the span at any tab width.
            let indent = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' });
            let indent: String = indent.collect();
            let carets = "^".repeat(spanned.chars().count().max(1));
            let margin = " ".repeat(number.len());
            write!(
                f,
                "\n  {margin} |\n  {number} | {line}\n  {margin} | {indent}{carets}"
            )?;
            if let Some(text) = label.label() {
                write!(f, " {text}")?;
            }
        }
        Ok(())
    }
}

/// Cuts a line that is too long to what is around a span of it: the line, what stands in front of the span, and the span.
fn clip(line: &str, before: &str, spanned: &str) -> (String, String, String) {
    let count = |text: &str| text.chars().count();
    let (whole, column) = (count(line), count(before));
    if whole <= WIDEST {
        return (line.to_owned(), before.to_owned(), spanned.to_owned());
    }
    let from = column.saturating_sub(IN_FRONT).min(whole - WIDEST);
    let mark = |is_cut| if is_cut { "…" } else { "" };
    let cut: String = line.chars().skip(from).take(WIDEST).collect();
    let before: String = before.chars().skip(from).collect();
    let left = WIDEST.saturating_sub(column - from);
    let front = mark(from > 0);
    (
        format!("{front}{cut}{}", mark(from + WIDEST < whole)),
        format!("{front}{before}"),
        spanned.chars().take(left).collect(),
    )
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.0.help.as_deref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let source = self.0.source.as_ref()?;
        Some(source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.0.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.0.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.0.notes.is_empty() && self.0.others.is_empty() {
            return None;
        }
        let related = self.0.notes.iter().chain(&self.0.others);
        Some(Box::new(related.map(|error| error as &dyn Diagnostic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new("a.proto", "one\n\ttwo three\n")
    }

    #[test]
    fn display_is_the_place_and_what_is_wrong() {
        let error = Error::new("it is wrong").at(&source(), 9..14, "this");
        assert_eq!(error.to_string(), "a.proto:2:6: it is wrong");
    }

    #[test]
    fn display_counts_the_other_errors() {
        let errors = [Error::new("a"), Error::new("b"), Error::new("c")];
        let error = Error::all(errors).unwrap();
        assert_eq!(error.to_string(), "a (and 2 more errors)");
    }

    #[test]
    fn errors_that_were_joined_before_stay_beside_each_other() {
        let joined = |names: [&str; 2]| Error::all(names.map(Error::new));
        let error = Error::all(
            [joined(["a", "b"]), joined(["c", "d"])]
                .into_iter()
                .flatten(),
        );
        let error = error.unwrap();
        assert_eq!(error.to_string(), "a (and 3 more errors)");
        assert_eq!(format!("{error:?}"), "a\n\nb\n\nc\n\nd");
    }

    #[test]
    fn debug_is_the_whole_report() {
        let error = Error::new("it is wrong")
            .at(&source(), 9..14, "this")
            .with_cause(std::io::Error::other("the disk is full"))
            .with_help("do this,\nor that");
        assert_eq!(
            format!("{error:?}"),
            "\
a.proto:2:6: it is wrong
  because: the disk is full
    |
  2 | \ttwo three
    | \t    ^^^^^ this
  help: do this,
        or that"
        );
    }

    #[test]
    fn debug_has_all_errors_and_places() {
        let elsewhere = Spot::in_source(&Source::new("b.proto", "x"), 0..1);
        let error = Error::new("a")
            .at(&source(), 0..3, "")
            .and_at(&elsewhere, "there");
        let error = Error::all([error, Error::new("b")]).unwrap();
        assert_eq!(
            format!("{error:?}"),
            "\
a.proto:1:1: a
    |
  1 | one
    | ^^^
  b.proto:1:1: there
    |
  1 | x
    | ^

b"
        );
    }

    #[test]
    fn a_span_of_several_lines_is_marked_on_its_first() {
        let error = Error::new("a").at(&source(), 0..9, "from here");
        assert!(format!("{error:?}").ends_with("| ^^^ from here"));
    }

    #[test]
    fn a_long_line_is_cut_to_what_is_around_the_span() {
        let line = format!("{}wrong{}", "a".repeat(200), "b".repeat(200));
        let report = |span| {
            let error = Error::new("a").at(&Source::new("a.json", &line), span, "here");
            let report = format!("{error:?}");
            let (_, shown) = report.split_once("\n    |\n").unwrap();
            shown.to_owned()
        };
        let (a, b) = ("a".repeat(40), "b".repeat(115));
        let indent = " ".repeat(41);
        assert_eq!(
            report(200..205),
            format!("  1 | …{a}wrong{b}…\n    | {indent}^^^^^ here")
        );
        assert_eq!(
            report(0..405),
            format!("  1 | {}…\n    | {} here", "a".repeat(160), "^".repeat(160))
        );
        let indent = " ".repeat(160);
        assert_eq!(
            report(404..405),
            format!("  1 | …{}\n    | {indent}^ here", "b".repeat(160))
        );
    }

    #[test]
    fn a_diagnostic_has_the_source_the_labels_and_the_help() {
        let error = Error::new("a").at(&source(), 0..3, "x").with_help("y");
        let labels: Vec<_> = error.labels().unwrap().collect();
        assert_eq!((labels[0].offset(), labels[0].len()), (0, 3));
        assert!(error.source_code().is_some());
        assert_eq!(Diagnostic::help(&error).unwrap().to_string(), "y");
    }

    #[test]
    fn no_errors_are_none() {
        assert!(Error::all([]).is_none());
    }
}
