//! What rules about whole messages say: the validator tells their ids alone.

use std::collections::HashMap;

use prost_protovalidate::{Violation, types::MessageConstraintsExt as _};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// The texts of rules, by the full names of the messages that they are about, and by their ids.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<String, HashMap<String, String>>);

impl Texts {
    /// Adds what the rules about `message` say.
    pub(super) fn add(&mut self, message: &MessageDescriptor) {
        let rules = message.message_constraints().ok().flatten();
        let rules = rules.into_iter().flat_map(|rules| rules.cel);
        let texts: HashMap<_, _> = rules
            .filter_map(|rule| Some((rule.id?, rule.message?)))
            .collect();
        if !texts.is_empty() {
            self.0.insert(message.full_name().to_owned(), texts);
        }
    }

    /// What the rule says that is violated in a `request`, if it is about a whole message and says something.
    pub(super) fn of(&self, violation: &Violation, request: &MessageDescriptor) -> Option<&str> {
        // It leads from the field's rules to the one that is violated.
        if !violation.rule_path().is_empty() {
            return None;
        }
        let message = message_at(violation, request.clone())?;
        let texts = self.0.get(message.full_name())?;
        texts.get(violation.rule_id()).map(String::as_str)
    }
}

/// The message that the path of a violation leads to from `request`.
fn message_at(violation: &Violation, request: MessageDescriptor) -> Option<MessageDescriptor> {
    let path = violation.to_proto().field.unwrap_or_default();
    path.elements.iter().try_fold(request, |message, element| {
        message_in(&message.get_field_by_name(element.field_name())?)
    })
}

/// The message that is a field's value, or in its list or map.
fn message_in(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => message_in(&entry.map_entry_value_field()),
        Kind::Message(message) => Some(message),
        _ => None,
    }
}
