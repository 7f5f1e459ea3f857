//! Fields that are `REQUIRED` by `google.api.field_behavior`.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write as _},
    ops::ControlFlow,
};

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MapKey,
    MessageDescriptor, ReflectMessage as _, Value,
};

use crate::error_details::FieldViolation;

/// `google.api.FieldBehavior.REQUIRED`.
const REQUIRED: i32 = 2;

/// The id of the rule, which is that of `buf.validate` as well.
const RULE: &str = "required";

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

    /// The required fields that are not set, in a message and those in it, up to `most`: a field without presence must not have
    /// its default, a list or a map must have something in it.
    pub(super) fn violations(&self, message: &DynamicMessage, most: usize) -> Vec<FieldViolation> {
        let mut walk = Walk {
            required: self,
            path: String::new(),
            violations: Vec::new(),
            most,
        };
        if !self.fields.is_empty() {
            // It ends early where it has found enough.
            let _ = walk.message(message);
        }
        walk.violations
    }
}

/// Adds what `buf.validate` has found to the required fields that are not set: a field that is required by both is told once.
pub(super) fn extend(
    violations: &mut Vec<FieldViolation>,
    others: impl Iterator<Item = FieldViolation>,
) {
    let told = violations.iter().map(|violation| violation.field.clone());
    let told: HashSet<_> = told.collect();
    let is_told = |other: &FieldViolation| other.reason == RULE && told.contains(&other.field);
    violations.extend(others.filter(|other| !is_told(other)));
}

/// A way through a message.
struct Walk<'a> {
    required: &'a Required,
    path: String,
    violations: Vec<FieldViolation>,
    most: usize,
}

impl Walk<'_> {
    fn message(&mut self, message: &DynamicMessage) -> ControlFlow<()> {
        let descriptor = message.descriptor();
        let required = self.required.fields.get(descriptor.full_name());
        for field in required.into_iter().flatten() {
            if !message.has_field(field) {
                self.at_field(field.name(), Self::violate)?;
            }
        }
        let mut fields = message.fields();
        fields.try_for_each(|(field, value)| {
            self.at_field(field.name(), |walk| walk.field_value(value))
        })
    }

    fn field_value(&mut self, value: &Value) -> ControlFlow<()> {
        match value {
            Value::Message(message) => self.message(message),
            Value::List(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| self.at_element(value, format_args!("[{index}]"))),
            Value::Map(map) => map.iter().try_for_each(|(key, value)| {
                self.at_element(value, format_args!("[{}]", subscript(key)))
            }),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Elements that are no messages have no required fields.
    fn at_element(&mut self, value: &Value, step: fmt::Arguments<'_>) -> ControlFlow<()> {
        match value {
            Value::Message(message) => self.at(step, |walk| walk.message(message)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn at_field(
        &mut self,
        name: &str,
        visit: impl FnOnce(&mut Self) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.at(format_args!("{dot}{name}"), visit)
    }

    /// Visits what is a step from here.
    fn at(
        &mut self,
        step: fmt::Arguments<'_>,
        visit: impl FnOnce(&mut Self) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let here = self.path.len();
        // Writing to a `String` does not fail.
        let _ = self.path.write_fmt(step);
        let visited = visit(self);
        self.path.truncate(here);
        visited
    }

    fn violate(&mut self) -> ControlFlow<()> {
        self.violations.push(FieldViolation {
            reason: RULE.to_owned(),
            ..FieldViolation::new(self.path.clone(), "value is required")
        });
        match self.violations.len() < self.most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
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
