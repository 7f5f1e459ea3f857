//! What protox found wrong, as an error of ours: at its place on disk, with what to do.

use std::collections::BTreeMap;
use std::ops::Range;

use miette::Diagnostic;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::error::Error;
use crate::load::inputs::Inputs;
use crate::load::names::Types;
use crate::load::{NO_EDITIONS, OPTIONS_NAME, OPTIONS_TEXT, imports, names};
use crate::source::Source;
use crate::{suggest, text_format};

/// What to do about fields without labels in a file without a syntax.
const NO_SYNTAX: &str =
    "this file has no syntax line, so it is proto2: add `syntax = \"proto3\";` first";

/// Makes one error of all that protox says, the texts being those of the files by their names.
pub(super) fn report(
    error: &protox::Error,
    texts: &BTreeMap<String, Source>,
    inputs: &Inputs,
) -> Error {
    let source = error.file().and_then(|name| texts.get(name));
    let types = || names::types(error.file()?, texts);
    let first: &dyn Diagnostic = error;
    let all = std::iter::once(first).chain(error.related().into_iter().flatten());
    let mut unlabelled = false;
    let errors = all
        .filter(|error| {
            // Without a syntax line, all fields of a proto3 file lack labels, for one reason.
            let again = lacks_label(&error.to_string()) && source.is_some_and(has_no_syntax);
            !(again && std::mem::replace(&mut unlabelled, true))
        })
        .map(|error| one(error, source, inputs, &types));
    Error::all(errors).expect("there is at least the first error")
}

/// Makes an error of one diagnostic about a source.
fn one(
    diagnostic: &dyn Diagnostic,
    source: Option<&Source>,
    inputs: &Inputs,
    types: &dyn Fn() -> Option<Types>,
) -> Error {
    let spans: Vec<(Range<usize>, String)> = diagnostic
        .labels()
        .into_iter()
        .flatten()
        .map(|label| {
            (
                label.offset()..label.offset() + label.len(),
                label.label().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let message = diagnostic.to_string();

    if let (Some(source), Some(in_option), Some((statement, _))) =
        (source, diagnostic.diagnostic_source(), spans.first())
    {
        return in_option_value(source, statement.clone(), in_option);
    }

    let mut error = Error::new(reworded(&message));
    if let Some(source) = source {
        for (span, label) in &spans {
            error = error.at(source, span.clone(), label);
        }
        if spans.is_empty() {
            // What has no place of its own is about the end of the file.
            let end = source.text().trim_end().len();
            error = error.at(source, end..end, "here");
        }
    }
    let help = diagnostic
        .help()
        .and_then(|help| help_of(&message, &help.to_string()));
    match advice(&message, source, inputs)
        .or(help)
        .or_else(|| {
            let name = undefined(&message)?;
            // The place of an option is its statement, that of a type its name.
            let (span, _) = spans.first()?;
            let is_type = source?.text().get(span.clone())? == name;
            is_type.then(|| types()?.like(name)).flatten()
        })
        .or_else(|| last_advice(&message))
    {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// An error inside the braces of an option: protox places it in a text of its own that has the same tokens.
fn in_option_value(source: &Source, statement: Range<usize>, problem: &dyn Diagnostic) -> Error {
    let message = problem.to_string();
    let label = problem.labels().and_then(|mut labels| labels.next());
    let at = label.as_ref().and_then(|label| {
        let value = problem
            .source_code()?
            .read_span(label.inner(), usize::MAX, 0)
            .ok()?;
        let before = std::str::from_utf8(value.data())
            .ok()?
            .get(..label.offset())?;
        let text = source.text().get(statement.clone())?;
        let tokens = text_format::tokens(text);
        let opening = tokens
            .iter()
            .position(|token| &text[token.clone()] == "{")?;
        let token = tokens.get(opening + 1 + text_format::tokens(before).len())?;
        Some(statement.start + token.start..statement.start + token.end)
    });
    let span = at.unwrap_or(statement);
    let label = label
        .and_then(|label| label.label().map(str::to_owned))
        .unwrap_or_default();
    let name = &source.text()[span.clone()];
    let error = Error::new(reworded(&message)).at(source, span.clone(), label);
    match problem
        .help()
        .map(|help| help.to_string())
        .or_else(|| known_names(&message, name))
    {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// protox's messages in this project's manner: with backticks around names.
fn reworded(message: &str) -> String {
    if let Some(name) = undefined(message) {
        return format!("`{name}` is not defined");
    }
    // Apostrophes are quotes in all of protox's messages; none has one inside a word.
    message.replace('\'', "`")
}

/// The name that is not defined, of a message that says so.
///
/// protox says that `a.B` resolves to `a.B` where it found a package `a`, though nothing shadows anything there.
fn undefined(message: &str) -> Option<&str> {
    if let Some(rest) = message.strip_prefix("name '") {
        return rest.strip_suffix("' is not defined");
    }
    let (name, rest) = message.strip_prefix('\'')?.split_once("' resolves to '")?;
    (rest.strip_suffix("', which is not defined")? == name).then_some(name)
}

/// The help that protox has for a message, where it fits, in this project's manner.
fn help_of(message: &str, help: &str) -> Option<String> {
    let Some(name) = undefined(message) else {
        return Some(reworded(help));
    };
    let (_, rest) = help.split_once("' is defined in '")?;
    let (file, _) = rest.split_once('\'')?;
    Some(format!(
        "add `import \"{file}\";`: `{name}` is defined there"
    ))
}

/// Whether a message is that a field of proto2 lacks its label.
fn lacks_label(message: &str) -> bool {
    message.starts_with("fields must have a label with proto2 syntax")
}

/// Whether a file does not say which syntax it is in: that would be its first statement.
fn has_no_syntax(source: &Source) -> bool {
    let text = source.text();
    let first = text_format::tokens(text).into_iter().next();
    first.is_none_or(|first| &text[first] != "syntax")
}

/// What to do about a message of protox's.
fn advice(message: &str, source: Option<&Source>, inputs: &Inputs) -> Option<String> {
    if lacks_label(message) && source.is_some_and(has_no_syntax) {
        return Some(NO_SYNTAX.to_owned());
    }
    let name = message.split('\'').nth(1)?;
    if message.starts_with("import '") && message.ends_with("not found") {
        return Some(imports::missing(name, source, inputs));
    }
    if message.starts_with("file '") && message.ends_with("not found") {
        return Some(format!("files are looked up in {}", inputs.shown()));
    }
    if let Some(name) = undefined(message) {
        return names::built_in(name, source);
    }
    if message.starts_with("option field '") {
        let field = name.rsplit('.').next()?;
        return known_policy_fields(field);
    }
    if message.starts_with("unknown syntax") || message.contains("but found 'edition'") {
        return Some(NO_EDITIONS.to_owned());
    }
    None
}

/// What to do about a message of protox's that it has no help for.
fn last_advice(message: &str) -> Option<String> {
    let name = undefined(message)?;
    Some(format!("declare `{name}`, or import the file that does"))
}

/// The fields or values that there are, where the unknown one is in an option of Wireloom's.
fn known_names(message: &str, unknown: &str) -> Option<String> {
    // "field 'a' not found for message 'b'", "value 'a' was not found for enum 'b'"
    let owner = message.split('\'').nth(3)?;
    let pool = own_options()?;
    if let Some(message) = pool.get_message_by_name(owner) {
        let fields: Vec<_> = message.fields().collect();
        return Some(suggest::help(
            unknown,
            fields.iter().map(|field| field.name()),
            "field",
        ));
    }
    let values: Vec<_> = pool.get_enum_by_name(owner)?.values().collect();
    Some(suggest::help(
        unknown,
        values.iter().map(|value| value.name()),
        "value",
    ))
}

/// The field like `unknown` of a policy or of what it holds.
fn known_policy_fields(unknown: &str) -> Option<String> {
    let policy = own_options()?.get_message_by_name("wireloom.Policy")?;
    let mut names = Vec::new();
    collect(&policy, &mut names);
    suggest::nearest(unknown, names.iter().map(String::as_str))
        .map(|name| format!("did you mean `{name}`?"))
}

fn collect(message: &MessageDescriptor, names: &mut Vec<String>) {
    for field in message.fields() {
        names.push(field.name().to_owned());
        if let Kind::Message(inner) = field.kind() {
            collect(&inner, names);
        }
    }
}

/// The descriptors of `wireloom/options.proto`.
fn own_options() -> Option<DescriptorPool> {
    let file = protox::file::File::from_source(OPTIONS_NAME, OPTIONS_TEXT).ok()?;
    let mut pool = DescriptorPool::global();
    pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())
        .ok()?;
    Some(pool)
}
