//! Which requests have rules: those of `buf.validate`, and `google.api.field_behavior = REQUIRED`.
//!
//! The rules themselves are the runtime's business, which has them from embedded descriptors; here it is found out which
//! methods have any, so that a server knows that without descriptors.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// Before the names of protovalidate's extensions.
const PROTOVALIDATE: &str = "buf.validate.";

const FIELD_BEHAVIOR: &str = "google.api.field_behavior";
/// `google.api.FieldBehavior.REQUIRED`.
const REQUIRED: i32 = 2;

/// Whether a message, or one that may be in it, has rules.
pub(super) fn concern(request: &MessageDescriptor) -> bool {
    let mut seen = HashSet::new();
    let mut todo = vec![request.clone()];
    while let Some(message) = todo.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        if is_ruled(&message) {
            return true;
        }
        todo.extend(message.fields().filter_map(|field| match field.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        }));
    }
    false
}

/// Whether a message has rules of its own.
fn is_ruled(message: &MessageDescriptor) -> bool {
    has_rules(&message.options())
        || message.oneofs().any(|oneof| has_rules(&oneof.options()))
        || message.fields().any(|field| is_field_ruled(&field))
}

fn is_field_ruled(field: &FieldDescriptor) -> bool {
    let options = field.options();
    has_rules(&options) || is_required(&options)
}

fn has_rules(options: &DynamicMessage) -> bool {
    let mut extensions = options.extensions();
    extensions.any(|(extension, _)| extension.full_name().starts_with(PROTOVALIDATE))
}

fn is_required(options: &DynamicMessage) -> bool {
    let mut extensions = options.extensions();
    let behaviors = extensions.find(|(extension, _)| extension.full_name() == FIELD_BEHAVIOR);
    let behaviors = behaviors.and_then(|(_, behaviors)| behaviors.as_list());
    behaviors.is_some_and(|behaviors| behaviors.contains(&Value::EnumNumber(REQUIRED)))
}
