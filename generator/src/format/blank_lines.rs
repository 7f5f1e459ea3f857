//! Puts a blank line between items, as people do.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::{ImplItem, Item, TraitItem};

/// Puts a blank line between two items of a file, module, `impl` or `trait`, unless both are on one line each.
pub(super) fn put_in(text: &str, file: &syn::File) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut starts = Vec::new();
    in_items(&file.items, &lines, &mut starts);

    let mut output = String::with_capacity(text.len() + starts.len());
    let mut starts = starts.into_iter().peekable();
    for (index, line) in lines.into_iter().enumerate() {
        if starts.next_if_eq(&index).is_some() {
            output.push('\n');
        }
        output.push_str(line);
        output.push('\n');
    }
    output
}

/// Collects, in order, the lines (from 0) that want a blank line before them.
fn in_items(items: &[Item], lines: &[&str], starts: &mut Vec<usize>) {
    let mut last = None;
    for item in items {
        between(last, item.span(), lines, starts);
        last = Some(item.span());
        match item {
            Item::Mod(module) => {
                let items = module.content.as_ref().map_or(&[][..], |(_, items)| items);
                in_items(items, lines, starts);
            }
            Item::Impl(block) => in_list(block.items.iter().map(ImplItem::span), lines, starts),
            Item::Trait(block) => in_list(block.items.iter().map(TraitItem::span), lines, starts),
            _ => {}
        }
    }
}

fn in_list(spans: impl Iterator<Item = Span>, lines: &[&str], starts: &mut Vec<usize>) {
    let mut last = None;
    for span in spans {
        between(last, span, lines, starts);
        last = Some(span);
    }
}

fn between(last: Option<Span>, next: Span, lines: &[&str], starts: &mut Vec<usize>) {
    let Some(last) = last else { return };
    let on_one_line = |span: Span| span.start().line == span.end().line;
    let end = last.end().line - 1;
    // The comments above an item are part of it.
    let mut start = next.start().line - 1;
    while start > end + 1 && lines[start - 1].trim_start().starts_with("//") {
        start -= 1;
    }
    let alone = on_one_line(last) && on_one_line(next) && start == next.start().line - 1;
    let apart = start > 0 && lines[start - 1].trim().is_empty();
    if start > end && !alone && !apart {
        starts.push(start);
    }
}
