//! Links, and what rustdoc takes for one or misses one in.

use std::ops::Range;

use pulldown_cmark::LinkType;

use crate::lower::docs::Edit;

/// Whether rustdoc will leave a link alone, as opposed to look for a Rust item of that name.
pub(super) fn leads_out(link_type: LinkType, url: &str) -> bool {
    let known_scheme = ["http://", "https://", "mailto:", "ftp://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    known_scheme || link_type == LinkType::Email || url.starts_with('#')
}

/// A link to nothing that Markdown knows: `[Foo][x.Foo]`, which protos use for `Foo`, or just something in brackets.
pub(super) fn unlinked(
    text: &str,
    mut span: Range<usize>,
    kind: LinkType,
    reference: &str,
) -> Edit {
    let collapsed = matches!(kind, LinkType::CollapsedUnknown | LinkType::Collapsed);
    // The parser leaves the empty brackets out of the span.
    if collapsed && text[span.end..].starts_with("[]") {
        span.end += 2;
    }
    let whole = &text[span.clone()];
    let name = match kind {
        LinkType::ReferenceUnknown | LinkType::Reference => {
            whole.split_once("][").map(|(name, _)| &name[1..])
        }
        _ if collapsed => Some(reference),
        _ => None,
    };
    let is_path = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "._".contains(c))
    };
    if let Some(name) = name.filter(|_| is_path(reference.trim_matches('`'))) {
        let code = if is_path(name) {
            format!("`{name}`")
        } else {
            name.to_owned()
        };
        return (span, code);
    }
    if matches!(kind, LinkType::ShortcutUnknown | LinkType::Shortcut)
        && whole.ends_with(']')
        && !whole[1..].contains('[')
    {
        return (span, format!("\\{}\\]", &whole[..whole.len() - 1]));
    }
    (span.start..span.start, "\\".to_owned())
}

/// URLs in plain text, to go between `<` and `>`.
pub(super) fn bare_urls(text: &str, plain: &[bool]) -> Vec<Edit> {
    let mut edits = Vec::new();
    for scheme in ["http://", "https://"] {
        for (start, _) in text
            .match_indices(scheme)
            .filter(|(start, _)| plain[*start])
        {
            let rest = &text[start..];
            let end = rest
                .find(|c: char| c.is_whitespace() || "<>\"`|\\".contains(c))
                .unwrap_or(rest.len());
            let mut url =
                rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', ']']);
            // A closing parenthesis belongs to the URL only if it was opened there.
            while url.ends_with(')') && url.matches(')').count() > url.matches('(').count() {
                url = url[..url.len() - 1].trim_end_matches(['.', ',']);
            }
            if url.len() > scheme.len() {
                edits.push((start..start + url.len(), format!("<{url}>")));
            }
        }
    }
    edits
}

/// Marks in plain text that rustdoc warns of: `[^1]`, a footnote that is missing, and a backtick without a second.
pub(super) fn lone_marks(text: &str, plain: &[bool]) -> Vec<Edit> {
    let marks = text.match_indices("[^").chain(text.match_indices('`'));
    marks
        .filter(|(start, _)| plain[*start] && !text[..*start].ends_with('\\'))
        .map(|(start, _)| (start..start, "\\".to_owned()))
        .collect()
}
