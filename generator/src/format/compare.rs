//! Whether two texts differ in more than layout, so that another formatter, or another version of one, is no difference.

use super::comments;
use super::tokens::{self, Token};

/// Whether two texts have the same tokens and comments, but for what formatters change: commas and braces that may be
/// left out, the order of imports, the spaces in comments.
pub(crate) fn same_but_layout(one: &str, other: &str) -> bool {
    one == other || essence(one) == essence(other)
}

/// What formatters leave alone: the statements, imports among them sorted, and the comments.
fn essence(text: &str) -> (Vec<String>, Vec<String>) {
    let tokens = tokens::of(text);
    let words = |comment: &str| comment.split_whitespace().collect::<Vec<_>>().join(" ");
    let comments = comments::texts(text, &tokens).map(words).collect();

    let mut statements = Vec::new();
    let mut imports = Vec::new();
    let mut rest = &tokens[..];
    while !rest.is_empty() {
        let (statement, after) = rest.split_at(length(rest));
        rest = after;
        let words = join(statement);
        match statement.first() {
            Some(token) if token.text == "use" => imports.push(words),
            _ => {
                imports.sort();
                statements.append(&mut imports);
                statements.push(words);
            }
        }
    }
    imports.sort();
    statements.append(&mut imports);
    (statements, comments)
}

/// The tokens of the import that these start with, or else those before the next import.
fn length(tokens: &[Token]) -> usize {
    let is = |text: &'static str| move |token: &Token| token.text == text;
    let end = match tokens.first().is_some_and(is("use")) {
        true => tokens.iter().position(is(";")).map(|end| end + 1),
        false => tokens.iter().position(is("use")),
    };
    end.unwrap_or(tokens.len())
}

fn join(tokens: &[Token]) -> String {
    let mut words = String::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_doc = index >= 2 && tokens[index - 2].text == "doc" && tokens[index - 1].text == "=";
        match token.text.as_str() {
            "," | "{" | "}" => continue,
            literal if is_doc => words.push_str(literal.trim_end_matches('"').trim_end()),
            text => words.push_str(text),
        }
        words.push(' ');
    }
    words
}
