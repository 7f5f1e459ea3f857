//! Rules that are wrong, found before there are any requests.

use std::sync::Arc;

use prost_protovalidate::{Error, Filter, ValidationOption, Validator};
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor, Value};
use tonic::Status;

use super::evaluate;

/// How the evaluation fails where a rule names what there is not: `cel` looks up names only then.
const UNDECLARED: &str = "Undeclared reference";

/// Which of a message's rules are evaluated. One that cannot be ends the evaluation of all, so each has a turn.
enum Turn {
    Message,
    Field(FieldDescriptor),
}

impl Turn {
    /// A message with zero values alone, among them one for the rules whose turn it is.
    fn zero(&self, message: &MessageDescriptor) -> DynamicMessage {
        let mut zero = DynamicMessage::new(message.clone());
        if let Self::Field(field) = self {
            zero.set_field(field, zero_of(field));
        }
        zero
    }
}

impl Filter for Turn {
    fn should_validate(&self, _: &DynamicMessage, _: &MessageDescriptor) -> bool {
        matches!(self, Self::Message)
    }

    fn should_validate_field(&self, _: &DynamicMessage, field: &FieldDescriptor) -> bool {
        matches!(self, Self::Field(this) if this == field)
    }
}

/// Holds a message with zero values alone to its rules, to see whether they can be evaluated.
///
/// A rule that cannot be, for these values, is told as a `warn` event.
///
/// # Errors
///
/// INVALID_ARGUMENT for a rule that cannot be compiled, names what there is not, or uses what `cel` does not have.
pub(super) fn check(message: &MessageDescriptor, validator: &Validator) -> Result<(), Status> {
    let wrong = |error: &str| {
        let name = message.full_name();
        Status::invalid_argument(format!("the rules of {name} are wrong: {error}"))
    };
    let fields = message.fields().map(Turn::Field);
    for turn in [Turn::Message].into_iter().chain(fields) {
        let zero = turn.zero(message);
        let options = [ValidationOption::Filter(Arc::new(turn))];
        match evaluate(validator, &zero, &options) {
            Ok(()) | Err(Error::Validation(_)) => {}
            Err(Error::Compilation(error)) => return Err(wrong(&error.to_string())),
            Err(error) if error.to_string().contains(UNDECLARED) => {
                return Err(wrong(&error.to_string()));
            }
            Err(error) => tracing::warn!(
                target: "wireloom",
                rules_of = message.full_name(),
                %error,
                "a rule cannot be evaluated for zero values",
            ),
        }
    }
    Ok(())
}

/// The zero value of a field; of a list or a map, one with one of it.
fn zero_of(field: &FieldDescriptor) -> Value {
    let kind = field.kind();
    if let Some(entry) = kind.as_message().filter(|_| field.is_map()) {
        let key = MapKey::default_value(&entry.map_entry_key_field().kind());
        let value = Value::default_value(&entry.map_entry_value_field().kind());
        return Value::Map([(key, value)].into());
    }
    match field.is_list() {
        true => Value::List(vec![Value::default_value(&kind)]),
        false => Value::default_value(&kind),
    }
}
