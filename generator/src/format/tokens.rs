//! The tokens of a text, flat, with the bytes that each stands on.

use std::ops::Range;

use proc_macro2::{TokenStream, TokenTree};

/// A token that is not a group; of a group, its delimiters.
#[derive(Debug)]
pub(super) struct Token {
    /// The token as written.
    pub(super) text: String,
    /// The bytes of the text; those of a doc comment are shared by the tokens that it stands for.
    pub(super) bytes: Range<usize>,
}

/// The tokens of a text, in order; none if it does not lex.
pub(super) fn of(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    if let Ok(stream) = text.parse() {
        collect(stream, text, &mut tokens);
    }
    tokens
}

fn collect(stream: TokenStream, text: &str, tokens: &mut Vec<Token>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = (group.span_open(), group.span_close());
                push(open.byte_range(), text, tokens);
                collect(group.stream(), text, tokens);
                push(close.byte_range(), text, tokens);
            }
            // A doc comment's literal is not what stands at its span.
            TokenTree::Literal(literal) => tokens.push(Token {
                text: literal.to_string(),
                bytes: literal.span().byte_range(),
            }),
            other => tokens.push(Token {
                text: other.to_string(),
                bytes: other.span().byte_range(),
            }),
        }
    }
}

fn push(bytes: Range<usize>, text: &str, tokens: &mut Vec<Token>) {
    tokens.push(Token {
        text: text[bytes.clone()].to_owned(),
        bytes,
    });
}
