//! Where things stand in an option's text: a small reader of protobuf's text format.
//!
//! protox and protoc give the place of an option statement, but not of the fields in its braces. Values come from
//! descriptors; what is found here serves messages only, so a text that cannot be followed is no error.

use std::ops::Range;

/// A step from a message into a field: its name, and which of its values, where it is repeated.
pub(crate) type Step<'a> = (&'a str, usize);

/// The spans of the tokens of a text, without white space and comments.
pub(crate) fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            _ if first == '#' || rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            _ if rest.starts_with("/*") => {
                at += rest.find("*/").map_or(rest.len(), |end| end + 2);
                continue;
            }
            '"' | '\'' => string_length(rest, first),
            c if c.is_ascii_digit() => number_length(rest),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => number_length(rest),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        tokens.push(at..at + length);
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 2)
}

fn number_length(text: &str) -> usize {
    let mut before = ' ';
    let end = text.find(|c| {
        let exponent_sign = "+-".contains(c) && "eE".contains(before);
        before = c;
        !(is_word(c) || c == '.' || exponent_sign)
    });
    end.unwrap_or(text.len())
}

/// The span of a field in an option statement: from its name to the end of its value.
///
/// `statement` is the whole of `option (name) = value;`. Without steps, or where they cannot be followed, the span is
/// of the value that was reached.
pub(crate) fn locate(statement: &str, path: &[Step<'_>]) -> Option<Range<usize>> {
    let tokens = tokens(statement);
    let equals = tokens
        .iter()
        .position(|token| &statement[token.clone()] == "=")?;
    let reader = Reader {
        text: statement,
        tokens: &tokens,
    };
    let value = reader.value(equals + 1)?;
    let mut found = reader.span(&value);
    let mut message = value;
    for (name, index) in path {
        let fields = reader.fields(&message);
        let Some(field) = fields
            .into_iter()
            .filter(|field| field.name == *name)
            .nth(*index)
        else {
            break;
        };
        found = match field.in_list {
            true => reader.span(&field.value),
            false => reader.span(&(field.start..field.value.end)),
        };
        message = field.value;
    }
    Some(found)
}

/// A field of a message, in tokens.
struct Field<'a> {
    name: &'a str,
    start: usize,
    value: Range<usize>,
    /// Whether the value is one of several between brackets.
    in_list: bool,
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Range<usize>],
}

impl<'a> Reader<'a> {
    fn token(&self, index: usize) -> &'a str {
        self.tokens
            .get(index)
            .map_or("", |span| &self.text[span.clone()])
    }

    /// The bytes of a range of tokens.
    fn span(&self, tokens: &Range<usize>) -> Range<usize> {
        let start = self
            .tokens
            .get(tokens.start)
            .map_or(self.text.len(), |span| span.start);
        let end = self
            .tokens
            .get(tokens.end.saturating_sub(1))
            .map_or(self.text.len(), |span| span.end);
        start..end.max(start)
    }

    /// The tokens of the value that starts at a token.
    fn value(&self, start: usize) -> Option<Range<usize>> {
        let end = match self.token(start) {
            "" => return None,
            "{" | "<" | "[" => self.closing(start)? + 1,
            "-" => start + 2,
            _ => start + 1,
        };
        Some(start..end)
    }

    /// The token that closes the bracket at a token.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        (open..self.tokens.len()).find(|index| {
            match self.token(*index) {
                "{" | "<" | "[" => depth += 1,
                "}" | ">" | "]" => depth -= 1,
                _ => {}
            }
            depth == 0
        })
    }

    /// The fields of the message that is a value; the values of a list are fields each.
    fn fields(&self, message: &Range<usize>) -> Vec<Field<'a>> {
        let mut fields = Vec::new();
        let mut at = message.start + 1;
        while at + 1 < message.end {
            let start = at;
            let name = self.token(at);
            if [",", ";"].contains(&name) {
                at += 1;
                continue;
            }
            at += 1;
            if self.token(at) == ":" {
                at += 1;
            }
            let Some(value) = self.value(at) else { break };
            at = value.end;
            if self.token(value.start) == "[" {
                let mut element = value.start + 1;
                while element + 1 < value.end {
                    let Some(one) = self.value(element) else {
                        break;
                    };
                    element = one.end + usize::from(self.token(one.end) == ",");
                    fields.push(Field {
                        name,
                        start,
                        value: one,
                        in_list: true,
                    });
                }
            } else {
                fields.push(Field {
                    name,
                    start,
                    value,
                    in_list: false,
                });
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENT: &str = r#"option (wireloom.method) = {
        timeout: "2}s" # a comment: max_attempts
        retry_policy { max_attempts: 4, codes: [UNAVAILABLE, ABORTED] backoff: -1.5e+3 }
        codes: A codes: B
    };"#;

    fn found<'a>(statement: &'a str, path: &[Step<'_>]) -> &'a str {
        &statement[locate(statement, path).unwrap()]
    }

    #[test]
    fn a_field_is_its_name_and_value() {
        assert_eq!(found(STATEMENT, &[("timeout", 0)]), r#"timeout: "2}s""#);
    }

    #[test]
    fn a_nested_field_is_found() {
        assert_eq!(
            found(STATEMENT, &[("retry_policy", 0), ("max_attempts", 0)]),
            "max_attempts: 4"
        );
        assert_eq!(
            found(STATEMENT, &[("retry_policy", 0), ("backoff", 0)]),
            "backoff: -1.5e+3".get(..16).unwrap()
        );
    }

    #[test]
    fn a_value_in_a_list_is_itself() {
        assert_eq!(
            found(STATEMENT, &[("retry_policy", 0), ("codes", 1)]),
            "ABORTED"
        );
    }

    #[test]
    fn a_repeated_field_is_found_by_its_index() {
        assert_eq!(found(STATEMENT, &[("codes", 1)]), "codes: B");
    }

    #[test]
    fn a_field_that_is_missing_leaves_the_message_around_it() {
        let span = found(STATEMENT, &[("retry_policy", 0), ("max_backoff", 0)]);
        assert!(span.starts_with("retry_policy {") && span.ends_with('}'));
    }

    #[test]
    fn a_statement_of_one_field_is_its_value() {
        assert_eq!(
            found("option (wireloom.method).timeout = '0s';", &[]),
            "'0s'"
        );
    }

    #[test]
    fn a_text_that_ends_early_is_no_panic() {
        for end in 0..STATEMENT.len() {
            locate(&STATEMENT[..end], &[("retry_policy", 0), ("codes", 1)]);
        }
    }
}
