//! Comments of a proto to rustdoc that compiles: no doctests, no broken links, no stray HTML.
//!
//! Comments in protos are written for many languages. What rustdoc would make more of than their authors meant is
//! found with the Markdown parser that rustdoc uses, and is escaped in the text; all else stays as it was written.

mod code;
mod links;

use std::ops::Range;

use pulldown_cmark::{BrokenLink, CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

use crate::model::Docs;

/// Escaping changes what Markdown sees (an HTML block becomes a paragraph with links in it), so it is done again until
/// nothing is left to do. Real comments need two or three rounds; the bound is for adversarial ones.
const ROUNDS: usize = 32;

/// Makes rustdoc of the comments before and after an item.
///
/// Both are as a descriptor has them: lines without the comment's marks. Each line of the result goes after `/// `, or
/// after `///` where it is empty.
pub(crate) fn rustdoc(leading: Option<&str>, trailing: Option<&str>) -> Docs {
    let mut parts: Vec<String> = [leading, trailing]
        .into_iter()
        .flatten()
        .map(plain)
        .filter(|text| !text.is_empty())
        .collect();
    for part in &mut parts {
        for _ in 0..ROUNDS {
            let edits = edits(part);
            if edits.is_empty() {
                break;
            }
            apply(part, edits);
        }
    }
    Docs {
        lines: parts.join("\n\n").lines().map(str::to_owned).collect(),
    }
}

/// The text without the indentation that all lines share, without blank lines around it, tabs and control characters.
pub(crate) fn plain(comment: &str) -> String {
    let comment: String = comment
        .replace("\r\n", "\n")
        .chars()
        .flat_map(visible)
        .collect();
    let mut lines: Vec<&str> = comment.lines().map(str::trim_end).collect();
    // The second star of `/**` is left over; as Markdown it would be a list.
    if lines.first().is_some_and(|line| line.trim_start() == "*") {
        lines.remove(0);
    }
    let indent = |line: &&str| line.len() - line.trim_start_matches(' ').len();
    let shared = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(indent)
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.get(shared..).unwrap_or_default())
        .collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// A character as rustc accepts it in a comment: it denies the ones that turn the direction of text.
fn visible(c: char) -> Vec<char> {
    match c {
        '\t' => vec![' '; 4],
        '\n' => vec!['\n'],
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            format!("U+{:04X}", u32::from(c)).chars().collect()
        }
        c if c.is_control() => vec![' '],
        c => vec![c],
    }
}

/// A replacement of a range of the text.
type Edit = (Range<usize>, String);

/// Applies edits; of two that overlap, the one that starts first.
fn apply(text: &mut String, mut edits: Vec<Edit>) {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut end = 0;
    edits.retain(|(range, _)| {
        let apart = range.start >= end;
        if apart {
            end = range.end.max(range.start + 1);
        }
        apart
    });
    for (range, replacement) in edits.into_iter().rev() {
        text.replace_range(range, &replacement);
    }
}

/// What must change for rustdoc to be content with the text.
fn edits(text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    // Where text is plain: not in code, in a link or in HTML.
    let mut plain = vec![false; text.len()];
    let mut open_links = 0usize;
    let mut in_code = false;
    let mut broken = Vec::new();
    let mut on_broken_link = |link: BrokenLink<'_>| {
        broken.push((link.span, link.link_type, link.reference.to_string()));
        None::<(CowStr<'_>, CowStr<'_>)>
    };

    // rustdoc's own options, of which these four change how text is taken apart.
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let parser = Parser::new_with_broken_link_callback(text, options, Some(&mut on_broken_link));
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                edits.extend(match kind {
                    CodeBlockKind::Indented => code::fenced(text, range),
                    CodeBlockKind::Fenced(info) => code::fence(text, range, &info),
                });
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Start(
                Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }
                | Tag::Image {
                    link_type,
                    dest_url,
                    ..
                },
            ) => {
                open_links += 1;
                if !links::leads_out(link_type, &dest_url) {
                    edits.push((range.start..range.start, "\\".to_owned()));
                }
            }
            Event::End(TagEnd::Link | TagEnd::Image) => open_links = open_links.saturating_sub(1),
            Event::Html(html) if html.trim_start().starts_with('<') => {
                let start = range.start + html.len() - html.trim_start().len();
                edits.push((start..start, "\\".to_owned()));
            }
            Event::InlineHtml(html) if !is_line_break(&html) => {
                edits.push((range.start..range.start, "\\".to_owned()));
            }
            Event::Text(_) if open_links == 0 && !in_code => plain[range].fill(true),
            _ => {}
        }
    }

    edits.extend(
        broken
            .into_iter()
            .map(|(span, kind, reference)| links::unlinked(text, span, kind, &reference)),
    );
    edits.extend(links::bare_urls(text, &plain));
    edits.extend(links::lone_marks(text, &plain));
    edits
}

/// `<br>` ends a line in comments that documentation tools of other languages read, and rustdoc takes it.
fn is_line_break(html: &str) -> bool {
    html.get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("<br"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs(comment: &str) -> String {
        rustdoc(Some(comment), None).lines.join("\n")
    }

    #[test]
    fn the_space_after_the_slashes_is_no_indentation() {
        assert_eq!(
            docs(" Sends a greeting.\n\n Really.\n"),
            "Sends a greeting.\n\nReally."
        );
    }

    #[test]
    fn no_comment_is_no_docs() {
        assert!(rustdoc(None, Some("  \n")).lines.is_empty());
    }

    #[test]
    fn a_trailing_comment_is_a_paragraph_of_its_own() {
        let docs = rustdoc(Some(" Before.\n"), Some(" After.\n"));
        assert_eq!(docs.lines, ["Before.", "", "After."]);
    }

    #[test]
    fn a_fence_without_language_is_text() {
        assert_eq!(docs("```\nlet x;\n```"), "```text\nlet x;\n```");
    }

    #[test]
    fn a_fence_of_rust_is_text() {
        assert_eq!(docs("```rust,no_run\nlet x;\n```"), "```text\nlet x;\n```");
        assert_eq!(docs("~~~ should_panic\nx\n~~~"), "~~~text\nx\n~~~");
    }

    #[test]
    fn a_fence_of_another_language_stays() {
        assert_eq!(
            docs("```proto\nmessage A {}\n```"),
            "```proto\nmessage A {}\n```"
        );
    }

    #[test]
    fn an_open_fence_is_closed() {
        assert_eq!(docs("```json\n{}"), "```json\n{}\n```");
    }

    #[test]
    fn indented_code_is_fenced_text() {
        assert_eq!(
            docs(" Like this:\n\n     let x = 1;\n\n       y();\n\n Then on.\n"),
            "Like this:\n\n```text\nlet x = 1;\n\n  y();\n```\n\nThen on."
        );
    }

    #[test]
    fn indented_code_in_a_list_is_fenced_there() {
        assert_eq!(
            docs("- item\n\n      code()\n\n- next"),
            "- item\n\n  ```text\n  code()\n  ```\n\n- next"
        );
    }

    #[test]
    fn code_right_after_a_list_mark_is_a_paragraph() {
        assert_eq!(docs("-     code()"), "- code()");
    }

    #[test]
    fn indented_code_with_backticks_has_longer_fences() {
        assert_eq!(docs("a\n\n    ```\n    b"), "a\n\n````text\n```\nb\n````");
    }

    #[test]
    fn a_url_is_a_link() {
        assert_eq!(
            docs("See https://example.com/a_b_c."),
            "See <https://example.com/a_b_c>."
        );
        assert_eq!(
            docs("(see http://example.com/x_(y))"),
            "(see <http://example.com/x_(y)>)"
        );
    }

    #[test]
    fn a_url_that_is_a_link_stays() {
        for text in [
            "<https://example.com>",
            "[a](https://example.com)",
            "`https://example.com`",
        ] {
            assert_eq!(docs(text), text);
        }
    }

    #[test]
    fn brackets_are_no_links() {
        assert_eq!(docs("one of [a, b] or [x]"), "one of \\[a, b\\] or \\[x\\]");
        assert_eq!(docs("the range [0, 9)"), "the range [0, 9)");
        assert_eq!(docs("[x](y)"), "\\[x](y)");
    }

    #[test]
    fn a_reference_to_a_proto_item_is_its_name() {
        assert_eq!(docs("See [Foo.bar][google.x.Foo.bar]."), "See `Foo.bar`.");
        assert_eq!(docs("See [google.x.Foo][]."), "See `google.x.Foo`.");
    }

    #[test]
    fn a_link_that_markdown_resolves_stays() {
        assert_eq!(
            docs("[a]\n\n[a]: https://example.com"),
            "[a]\n\n[a]: https://example.com"
        );
    }

    #[test]
    fn angle_brackets_are_no_html() {
        assert_eq!(docs("a Vec<T> of <things>"), "a Vec\\<T> of \\<things>");
        assert_eq!(docs("<pre>\n[x]\n</pre>"), "\\<pre>\n\\[x\\]\n\\</pre>");
        assert_eq!(docs("<std:vector>"), "\\<std:vector>");
    }

    #[test]
    fn code_stays() {
        for text in ["`Vec<T>` and `[x]`", "```text\n<T> [x] https://a.b `\n```"] {
            assert_eq!(docs(text), text);
        }
    }

    #[test]
    fn a_footnote_that_is_missing_is_text() {
        assert_eq!(docs("as said[^1] before"), "as said\\[^1] before");
    }

    #[test]
    fn a_backtick_without_a_second_is_text() {
        assert_eq!(docs("a ` b"), "a \\` b");
        assert_eq!(docs("a \\` b"), "a \\` b");
    }

    #[test]
    fn text_that_turns_direction_is_spelled_out() {
        assert_eq!(docs("a\u{202E}b"), "aU+202Eb");
    }

    #[test]
    fn whatever_the_comment_nothing_is_left_to_do() {
        let pieces = [
            "a",
            "word",
            " ",
            " ",
            "\n",
            "\n",
            "\n\n",
            "    ",
            "\t",
            "`",
            "```",
            "~~~",
            "```rust\n",
            "[",
            "]",
            "[x]",
            "](y)",
            "(",
            ")",
            "<",
            ">",
            "<T>",
            "</b>",
            "<br>",
            "<!--",
            "-->",
            "<pre>",
            "http://",
            "https://a.b/c",
            "*",
            "_",
            "- ",
            "1. ",
            "> ",
            "# ",
            "|",
            "---",
            "\\",
            "!",
            "[^1]",
            "[x]: y",
            ":",
            "é",
            "&amp;",
            "\"",
            "[a][b.c]",
            "www.a.b",
        ];
        // A linear congruential generator: the same comments in every run.
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let comment: String = (0..next(24)).map(|_| pieces[next(pieces.len())]).collect();
            let docs = docs(&comment);
            assert!(
                edits(&docs).is_empty(),
                "{comment:?}\nbecomes {docs:?}\nwhich needs {:?}",
                edits(&docs)
            );
        }
    }

    #[test]
    fn editing_again_changes_nothing() {
        let once = docs("<a> [x][y] https://b.c [z]\n\n    code\n\n```\nx");
        assert_eq!(docs(&once), once);
    }
}
