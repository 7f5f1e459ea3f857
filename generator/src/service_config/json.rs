//! JSON whose values know where they stand, read as proto JSON is: names in either spelling, null as absence, numbers as
//! strings too.

use heck::ToSnakeCase as _;
use jsonc_parser::ast::{Object as JsonObject, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::error::Error;
use crate::source::{Source, Spot};
use crate::suggest;
use crate::syntax::{Code, Written};

/// JSON as RFC 8259 has it, and nothing more.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses a file.
pub(super) fn parse(source: &Source) -> Result<Value<'_>, Error> {
    let end = source.text().trim_end().len();
    let error = |message: String, span| Err(Error::new(message).at(source, span, "here"));
    match parse_to_ast(source.text(), &CollectOptions::default(), &STRICT) {
        Ok(parsed) => match parsed.value {
            Some(value) => Ok(value),
            None => error("this is no JSON: the file is empty".to_owned(), end..end),
        },
        Err(failed) => {
            let range = failed.range();
            let message = format!("this is no JSON: {}", failed.kind());
            error(message, range.start..range.end.max(range.start))
        }
    }
}

/// A value, and the path that leads to it.
pub(super) struct Node<'a> {
    source: &'a Source,
    value: &'a Value<'a>,
    path: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(source: &'a Source, value: &'a Value<'a>) -> Self {
        Self {
            source,
            value,
            path: String::new(),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn spot(&self) -> Spot {
        let range = self.value.range();
        Spot::in_source(self.source, range.start..range.end)
    }

    /// The value as an object.
    pub(super) fn object(&self, errors: &mut Vec<Error>) -> Option<Object<'a>> {
        let object = self.expect("an object", |value| value.as_object(), errors)?;
        Some(Object {
            source: self.source,
            object,
            path: self.path.clone(),
            known: Vec::new(),
        })
    }

    /// The elements of the value, which must be a list.
    pub(super) fn items(&self, errors: &mut Vec<Error>) -> Option<Vec<Node<'a>>> {
        let list = self.expect("a list", |value| value.as_array(), errors)?;
        let elements = list.elements.iter().enumerate();
        let nodes = elements.map(|(index, value)| Node {
            source: self.source,
            value,
            path: format!("{}[{index}]", self.path),
        });
        Some(nodes.collect())
    }

    fn expect<T>(
        &self,
        kind: &str,
        read: impl FnOnce(&'a Value<'a>) -> Option<T>,
        errors: &mut Vec<Error>,
    ) -> Option<T> {
        let read = read(self.value);
        if read.is_none() {
            let name = match self.path.as_str() {
                "" => "a service config",
                path => &format!("`{path}`"),
            };
            let message = format!("{name} must be {kind}, and is {}", describe(self.value));
            errors.push(self.spot().error(message, format!("must be {kind}")));
        }
        read
    }

    fn written<T>(
        &self,
        kind: &str,
        read: impl FnOnce(&'a Value<'a>) -> Option<T>,
        errors: &mut Vec<Error>,
    ) -> Option<Written<T>> {
        Some(Written {
            value: self.expect(kind, read, errors)?,
            spot: self.spot(),
        })
    }
}

/// An object, whose fields are asked for by their names in lowerCamelCase.
pub(super) struct Object<'a> {
    source: &'a Source,
    object: &'a JsonObject<'a>,
    path: String,
    /// The fields that were asked for.
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn spot(&self) -> Spot {
        let range = self.object.range;
        Spot::in_source(self.source, range.start..range.end)
    }

    /// The fields as they are written, those that are null too.
    pub(super) fn fields(&self) -> Vec<(&'a str, Node<'a>)> {
        let properties = self.object.properties.iter();
        let fields = properties.map(|property| {
            let name = property.name.as_str();
            (name, self.node(name, &property.value))
        });
        fields.collect()
    }

    /// The value of a field, which may have either of its names, but not both.
    pub(super) fn get(&mut self, name: &'static str, errors: &mut Vec<Error>) -> Option<Node<'a>> {
        self.known.push(name);
        let original = name.to_snake_case();
        let camel = self.exact(name);
        let snake = match original == name {
            true => None,
            false => self.exact(&original),
        };
        if let (Some(camel), Some(snake)) = (&camel, &snake) {
            let message = format!("`{}` is the same field as `{}`", snake.path, camel.path);
            errors.push(snake.spot().error(message, "must be given once"));
        }
        camel.or(snake)
    }

    /// Notes the fields that were never asked for, which gRPC has readers pass over.
    pub(super) fn finish(&self, notes: &mut Vec<Written<String>>) {
        for (name, value) in self.fields() {
            let is_known = |known: &&str| *known == name || known.to_snake_case() == name;
            if self.known.iter().any(is_known) {
                continue;
            }
            let meant = suggest::nearest(name, self.known.iter().copied());
            let meant = meant.map(|meant| format!(": did you mean `{meant}`?"));
            notes.push(Written {
                value: format!(
                    "`{}` is no field that is read{}",
                    value.path,
                    meant.unwrap_or_default()
                ),
                spot: value.spot(),
            });
        }
    }

    /// The value of the field of exactly this name; the last one where the name is there twice.
    fn exact(&self, name: &str) -> Option<Node<'a>> {
        let mut properties = self.object.properties.iter().rev();
        let property = properties.find(|property| property.name.as_str() == name)?;
        if matches!(property.value, Value::NullKeyword(_)) {
            return None;
        }
        Some(self.node(name, &property.value))
    }

    fn node(&self, name: &str, value: &'a Value<'a>) -> Node<'a> {
        Node {
            source: self.source,
            value,
            path: match self.path.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            },
        }
    }

    pub(super) fn object(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Object<'a>> {
        self.get(name, errors)?.object(errors)
    }

    /// The elements of a list; none where there is no such field.
    pub(super) fn items(&mut self, name: &'static str, errors: &mut Vec<Error>) -> Vec<Node<'a>> {
        let list = self.get(name, errors);
        list.and_then(|list| list.items(errors)).unwrap_or_default()
    }

    pub(super) fn string(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<String>> {
        self.get(name, errors)?.written("a string", string, errors)
    }

    pub(super) fn boolean(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<bool>> {
        let read = |value: &Value<'_>| match value {
            Value::BooleanLit(boolean) => Some(boolean.value),
            _ => None,
        };
        self.get(name, errors)?
            .written("true or false", read, errors)
    }

    pub(super) fn integer(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<i64>> {
        self.get(name, errors)?
            .written("a whole number", integer, errors)
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<f64>> {
        self.get(name, errors)?.written("a number", number, errors)
    }

    pub(super) fn codes(
        &mut self,
        name: &'static str,
        errors: &mut Vec<Error>,
    ) -> Option<Written<Vec<Written<Code>>>> {
        const KIND: &str = "the name or the number of a status code";
        let list = self.get(name, errors)?;
        let read = |value: &Value<'_>| match value {
            Value::StringLit(name) => Some(Code::Name(name.value.clone().into_owned())),
            number => integer(number).map(Code::Number),
        };
        let codes = list.items(errors).unwrap_or_default();
        let codes = codes
            .iter()
            .filter_map(|code| code.written(KIND, read, errors));
        Some(Written {
            value: codes.collect(),
            spot: list.spot(),
        })
    }
}

fn string(value: &Value<'_>) -> Option<String> {
    let string = value.as_string_lit()?;
    Some(string.value.clone().into_owned())
}

/// The text of a number, which may be in quotes.
fn numeral<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    let text: &str = match value {
        Value::NumberLit(number) => number.value,
        Value::StringLit(string) => &string.value,
        _ => return None,
    };
    is_number(text).then_some(text)
}

fn number(value: &Value<'_>) -> Option<f64> {
    let number: f64 = numeral(value)?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// A whole number; one that is larger than 64 bits with a sign hold is the largest that they do.
fn integer(value: &Value<'_>) -> Option<i64> {
    let numeral = numeral(value)?;
    let large = || numeral.parse::<u64>().ok().map(|_| i64::MAX);
    numeral.parse().ok().or_else(large).or_else(|| {
        // `5.0` and `5e0` are whole numbers, too; a float holds those up to this one exactly.
        const EXACT_INTEGERS: f64 = (1_u64 << 53) as f64;
        let number = number(value)?;
        let whole = number.fract() == 0.0 && number.abs() <= EXACT_INTEGERS;
        whole.then_some(number as i64)
    })
}

/// Whether a text is a number of JSON: Rust takes `+1`, `.5` and `inf` besides.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && digits(fraction)
        && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

fn describe(value: &Value<'_>) -> String {
    match value {
        Value::StringLit(string) => format!("the string {:?}", string.value),
        Value::NumberLit(number) => format!("the number {}", number.value),
        Value::BooleanLit(boolean) => boolean.value.to_string(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::NullKeyword(_) => "null".to_owned(),
    }
}
