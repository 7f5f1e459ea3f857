//! Puts back the comments that prettyplease drops, each before the token that it stood before.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::tokens::{self, Token};

/// A comment of the text as it was: `// ..` or `/* .. */`, no rustdoc.
struct Comment<'a> {
    text: &'a str,
    /// The index of the token that follows.
    before: usize,
    /// Whether it stands behind a token, on the same line.
    trailing: bool,
    /// Whether a blank line follows.
    blank_after: bool,
}

/// Puts the comments of `original` into `formatted`, a text of the same tokens.
pub(super) fn put_back(original: &str, formatted: String) -> String {
    let old = tokens::of(original);
    let comments = find(original, &old);
    if comments.is_empty() {
        return formatted;
    }
    let new = tokens::of(&formatted);
    let places = align(&old, &new);

    let mut output = String::with_capacity(formatted.len() + original.len() / 8);
    let mut copied = 0;
    for comment in comments {
        let at = if comment.trailing {
            end_of_line(&formatted, new[places[comment.before - 1]].bytes.end)
        } else {
            match places.get(comment.before) {
                Some(&token) => start_of_line(&formatted, new[token].bytes.start),
                None => formatted.len(),
            }
        };
        // A comment never goes before one that stood before it.
        let at = at.max(copied);
        output.push_str(&formatted[copied..at]);
        copied = at;
        if comment.trailing && !output.is_empty() && !output.ends_with('\n') {
            output.push(' ');
            output.push_str(comment.text);
        } else {
            let next = formatted[at..].trim_start_matches('\n');
            let indent = next.len() - next.trim_start_matches(' ').len();
            // Before a closing brace, a comment belongs to what is inside.
            let indent = indent
                + if next.trim_start().starts_with('}') {
                    4
                } else {
                    0
                };
            output.push_str(&" ".repeat(indent));
            output.push_str(comment.text);
            output.push('\n');
            if comment.blank_after {
                output.push('\n');
            }
        }
    }
    output.push_str(&formatted[copied..]);
    output
}

/// The comments of a text of these tokens.
pub(super) fn texts<'a>(text: &'a str, tokens: &[Token]) -> impl Iterator<Item = &'a str> {
    find(text, tokens).into_iter().map(|comment| comment.text)
}

/// The comments in the gaps between tokens.
fn find<'a>(text: &'a str, tokens: &[Token]) -> Vec<Comment<'a>> {
    let mut comments = Vec::new();
    let mut end = 0;
    for before in 0..=tokens.len() {
        let start = tokens
            .get(before)
            .map_or(text.len(), |token| token.bytes.start);
        if start > end {
            find_in_gap(&text[end..start], before, &mut comments);
        }
        end = end.max(tokens.get(before).map_or(end, |token| token.bytes.end));
    }
    comments
}

fn find_in_gap<'a>(gap: &'a str, before: usize, comments: &mut Vec<Comment<'a>>) {
    let mut rest = gap;
    let mut same_line = before > 0;
    while let Some(start) = rest.find('/') {
        same_line &= !rest[..start].contains('\n');
        rest = &rest[start..];
        let length = if rest.starts_with("/*") {
            length_of_block(rest)
        } else {
            rest.find('\n').unwrap_or(rest.len())
        };
        let (comment, after) = rest.split_at(length);
        rest = after;
        let blank = rest.len() - rest.trim_start().len();
        comments.push(Comment {
            text: comment.trim_end(),
            before,
            trailing: same_line
                && !comment.contains('\n')
                && (rest.starts_with('\n') || rest.is_empty()),
            blank_after: rest[..blank].matches('\n').count() > 1,
        });
    }
}

/// The bytes of the block comment that a text starts with; block comments nest.
fn length_of_block(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// For each old token, the new token that it is, or else that follows it.
///
/// The formatter adds and removes commas, parentheses and braces, so that a token may be missing.
fn align(old: &[Token], new: &[Token]) -> Vec<usize> {
    let texts = |tokens: &[Token]| -> Vec<String> {
        tokens.iter().map(|token| token.text.clone()).collect()
    };
    let last = new.len().saturating_sub(1);
    let mut places = vec![last; old.len()];
    for operation in capture_diff_slices(Algorithm::Myers, &texts(old), &texts(new)) {
        let (_, old_range, new_range) = operation.as_tag_tuple();
        let equal = matches!(operation, DiffOp::Equal { .. });
        for (offset, index) in old_range.enumerate() {
            let shift = if equal { offset } else { 0 };
            places[index] = (new_range.start + shift).min(last);
        }
    }
    places
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn end_of_line(text: &str, at: usize) -> usize {
    text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline)
}
