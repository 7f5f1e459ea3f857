//! Fields that are `REQUIRED` by `google.api.field_behavior`.

use std::collections::HashMap;

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MapKey,
    MessageDescriptor, ReflectMessage as _, Value,
};

use crate::error_details::FieldViolation;

/// `google.api.FieldBehavior.REQUIRED`.
const REQUIRED: i32 = 2;

/// The required fields of messages, by the messages' full names.
pub(super) struct Required {
    fields: HashMap<String, Vec<FieldDescriptor>>,
}

impl Required {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let behavior = pool.get_extension_by_name("google.api.field_behavior");
        let messages = behavior.iter().flat_map(|behavior| {
            pool.all_messages().map(|message| {
                let fields = message.fields();
                let required = fields.filter(|field| is_required(field, behavior));
                (message.full_name().to_owned(), required.collect::<Vec<_>>())
            })
        });
        Self {
            fields: messages.filter(|(_, fields)| !fields.is_empty()).collect(),
        }
    }

    /// Whether a message has required fields, beside those of the messages in it.
    pub(super) fn concerns(&self, message: &MessageDescriptor) -> bool {
        self.fields.contains_key(message.full_name())
    }

    /// The required fields that are not set, in a message and those in it: a field without presence must not have its
    /// default, a list or a map must have something in it.
    pub(super) fn violations(&self, message: &DynamicMessage) -> Vec<FieldViolation> {
        let mut violations = Vec::new();
        if !self.fields.is_empty() {
            self.check(message, "", &mut violations);
        }
        violations
    }

    fn check(&self, message: &DynamicMessage, path: &str, violations: &mut Vec<FieldViolation>) {
        let descriptor = message.descriptor();
        let required = self.fields.get(descriptor.full_name());
        for field in required.into_iter().flatten() {
            if !message.has_field(field) {
                violations.push(FieldViolation {
                    reason: "required".to_owned(),
                    ..FieldViolation::new(join(path, field.name()), "value is required")
                });
            }
        }
        for (field, value) in message.fields() {
            self.check_value(value, &join(path, field.name()), violations);
        }
    }

    fn check_value(&self, value: &Value, path: &str, violations: &mut Vec<FieldViolation>) {
        match value {
            Value::Message(message) => self.check(message, path, violations),
            Value::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.check_value(value, &format!("{path}[{index}]"), violations);
                }
            }
            Value::Map(map) => {
                for (key, value) in map {
                    self.check_value(value, &format!("{path}[{}]", subscript(key)), violations);
                }
            }
            _ => {}
        }
    }
}

fn is_required(field: &FieldDescriptor, behavior: &ExtensionDescriptor) -> bool {
    let options = field.options();
    let value = options.get_extension(behavior);
    let behaviors = value.as_list().unwrap_or_default();
    behaviors
        .iter()
        .any(|behavior| behavior.as_enum_number() == Some(REQUIRED))
}

fn join(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}

/// A key as protovalidate writes it in paths.
fn subscript(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => serde_json::Value::from(key.as_str()).to_string(),
    }
}
