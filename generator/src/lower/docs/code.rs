//! Code blocks: what rustdoc would compile and run as Rust.

use std::ops::Range;

use crate::lower::docs::Edit;

/// A block of indented code, between fences: rustdoc would run it as Rust.
pub(super) fn fenced(text: &str, block: Range<usize>) -> Vec<Edit> {
    let start = text[..block.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let code = text[start..block.end].trim_end();
    let lines: Vec<&str> = code.lines().collect();
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    if start + indent_of(code) < block.start {
        // Something else is on the first line, such as the mark of a list: with one space, what follows is a paragraph.
        let before = text[..block.start].trim_end_matches(' ').len();
        let after = block.end - text[block.start..block.end].trim_start().len();
        return vec![(before..after.max(block.start), " ".to_owned())];
    }
    let least = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| indent_of(line))
        .min();
    let indent = " ".repeat(least.unwrap_or(0).saturating_sub(4));
    let ticks = "`".repeat(longest_run(code, '`').max(2) + 1);
    let body: Vec<&str> = lines
        .iter()
        .map(|line| line.get(4.min(indent_of(line))..).unwrap_or_default())
        .collect();
    let replacement = format!("{indent}{ticks}text\n{}\n{indent}{ticks}", body.join("\n"));
    vec![(start..start + code.len(), replacement)]
}

/// A fenced block: of a language that is not Rust to rustdoc, and closed.
pub(super) fn fence(text: &str, block: Range<usize>, info: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    let opening = text[block.clone()].lines().next().unwrap_or_default();
    let mark = opening.chars().next().unwrap_or('`');
    let ticks = opening.len() - opening.trim_start_matches(mark).len();
    if is_rust(info) {
        edits.push((
            block.start + ticks..block.start + opening.len(),
            "text".to_owned(),
        ));
    }
    // Only the last block can be open, and what a template adds to the docs would be inside it.
    let closing = text[block.clone()]
        .lines()
        .skip(1)
        .last()
        .unwrap_or_default();
    let closing = closing.trim_start_matches([' ', '>']);
    let closed = closing.len() >= ticks && closing.chars().all(|c| c == mark);
    if !closed && block.end == text.len() {
        let start = text[..block.start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let before: String = text[start..block.start]
            .chars()
            .map(|c| if c == '>' { '>' } else { ' ' })
            .collect();
        let fence = mark.to_string().repeat(ticks);
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        edits.push((block.end..block.end, format!("{newline}{before}{fence}")));
    }
    edits
}

/// Whether rustdoc takes a fence's info string for Rust: it is, without a language or with any attribute of a doctest.
fn is_rust(info: &str) -> bool {
    let mut tokens = info
        .split([',', ' ', '\t', '{', '}'])
        .filter(|token| !token.is_empty())
        .peekable();
    tokens.peek().is_none()
        || tokens.any(|token| {
            let token = token.to_ascii_lowercase();
            let attributes = [
                "rust",
                "rs",
                "should_panic",
                "no_run",
                "ignore",
                "compile_fail",
                "test_harness",
                "standalone",
            ];
            attributes
                .iter()
                .any(|attribute| token.starts_with(attribute))
                || token.starts_with("edition")
                || (token.len() == 5
                    && token.starts_with('e')
                    && token[1..].bytes().all(|b| b.is_ascii_digit()))
        })
}

/// The longest run of a character.
fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}
