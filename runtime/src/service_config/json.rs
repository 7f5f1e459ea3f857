//! JSON values with their paths, read as [proto JSON].
//!
//! [proto JSON]: https://protobuf.dev/programming-guides/json/

use serde_json::{Map, Number, Value};

use super::InvalidServiceConfig;

/// The longest value that an error repeats, in characters.
const LONGEST_SHOWN: usize = 60;

/// Above it not every integer is an `f64` of its own.
const EXACT_INTEGERS: f64 = (1_u64 << 53) as f64;

/// What a value has to be, and how it is read.
pub(super) struct Form<T> {
    /// Follows "must be" in an error.
    pub(super) expected: &'static str,
    pub(super) read: fn(&Value) -> Option<T>,
}

pub(super) const BOOL: Form<bool> = Form {
    expected: "true or false",
    read: Value::as_bool,
};

pub(super) const STRING: Form<String> = Form {
    expected: "a string",
    read: |value| value.as_str().map(str::to_owned),
};

pub(super) fn parse(text: &str) -> Result<Value, InvalidServiceConfig> {
    serde_json::from_str(text).map_err(|error| InvalidServiceConfig::syntax(&error))
}

/// A value and where it is.
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(super) fn invalid(&self, expected: impl Into<String>) -> InvalidServiceConfig {
        InvalidServiceConfig::new(&*self.path, format!("is {}", shown(self.value)), expected)
    }

    pub(super) fn read<T>(&self, form: Form<T>) -> Result<T, InvalidServiceConfig> {
        (form.read)(self.value).ok_or_else(|| self.invalid(form.expected))
    }

    pub(super) fn object(&self) -> Result<Object<'a>, InvalidServiceConfig> {
        match self.value {
            Value::Object(fields) => Ok(Object {
                fields,
                path: self.path.clone(),
            }),
            _ => Err(self.invalid("an object")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, InvalidServiceConfig> {
        let Value::Array(values) = self.value else {
            return Err(self.invalid("a list"));
        };
        let items = values.iter().enumerate().map(|(i, value)| Self {
            value,
            path: format!("{}[{i}]", self.path),
        });
        Ok(items.collect())
    }
}

/// An object and where it is. A field that is null is absent.
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    /// The fields that are there, under the names that they have.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), self.node(name, value)))
    }

    /// The field of the lowerCamelCase `name`, which may be spelt as in the proto: snake_case.
    pub(super) fn get(&self, name: &str) -> Result<Option<Node<'a>>, InvalidServiceConfig> {
        let original = snake_case(name);
        let camel = self.exact(name);
        let snake = if original == name {
            None
        } else {
            self.exact(&original)
        };
        match (camel, snake) {
            (Some(camel), Some(snake)) => Err(InvalidServiceConfig::new(
                snake.path,
                format!("is the same field as `{}`", camel.path),
                "given once",
            )),
            (camel, snake) => Ok(camel.or(snake)),
        }
    }

    /// The field of exactly this name.
    pub(super) fn exact(&self, name: &str) -> Option<Node<'a>> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        Some(self.node(name, value))
    }

    pub(super) fn optional<T>(
        &self,
        name: &str,
        form: Form<T>,
    ) -> Result<Option<T>, InvalidServiceConfig> {
        self.get(name)?.map(|node| node.read(form)).transpose()
    }

    pub(super) fn required<T>(&self, name: &str, form: Form<T>) -> Result<T, InvalidServiceConfig> {
        match self.get(name)? {
            Some(node) => node.read(form),
            None => Err(self.missing(name, form.expected)),
        }
    }

    /// The items of the list `name`; none where it is absent.
    pub(super) fn items(&self, name: &str) -> Result<Vec<Node<'a>>, InvalidServiceConfig> {
        match self.get(name)? {
            Some(list) => list.list(),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn invalid(&self, expected: &str) -> InvalidServiceConfig {
        InvalidServiceConfig::new(&*self.path, "is invalid", expected)
    }

    pub(super) fn missing(&self, name: &str, expected: &str) -> InvalidServiceConfig {
        InvalidServiceConfig::new(self.path_of(name), "is missing", expected)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn node(&self, name: &str, value: &'a Value) -> Node<'a> {
        Node {
            value,
            path: self.path_of(name),
        }
    }
}

/// Reads a number, which may be a string that holds one.
pub(super) fn number(value: &Value) -> Option<f64> {
    number_of(value)?.as_f64()
}

/// Reads an integer that is not negative; it may be written as a string, as `3.0` or as `3e0`.
pub(super) fn integer(value: &Value) -> Option<u64> {
    let number = number_of(value)?;
    number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        let whole = float.fract() == 0.0 && (0.0..=EXACT_INTEGERS).contains(&float);
        whole.then_some(float as u64)
    })
}

fn number_of(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The value as an error shows it: whole if it is short.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => {
            let text = scalar.to_string();
            match text.char_indices().nth(LONGEST_SHOWN) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        }
    }
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_may_be_strings_and_floats_without_a_fraction() {
        for three in [json!(3), json!(3.0), json!("3"), json!("3.0"), json!("3e0")] {
            assert_eq!(integer(&three), Some(3), "{three}");
        }
        assert_eq!(integer(&json!(u64::MAX)), Some(u64::MAX));
        for not in [
            json!(3.5),
            json!(-1),
            json!(1e300),
            json!(""),
            json!(" 3"),
            json!("3 "),
            json!("+3"),
            json!("0x3"),
            json!("inf"),
            json!(true),
            json!(null),
            json!([3]),
        ] {
            assert_eq!(integer(&not), None, "{not}");
        }
    }

    #[test]
    fn numbers_may_be_strings_but_are_finite() {
        assert_eq!(number(&json!("1.5")), Some(1.5));
        assert_eq!(number(&json!(2)), Some(2.0));
        for not in ["NaN", "Infinity", "-Infinity", ".5", "1."] {
            assert_eq!(number(&json!(not)), None, "{not}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = shown(&json!("\u{e9}".repeat(100)));
        assert_eq!(long.chars().count(), LONGEST_SHOWN + 3);
    }
}
