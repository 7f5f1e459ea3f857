//! The names that prost-build gives messages and enums, so that collisions are found before it runs.

use std::collections::HashSet;

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, OneofDescriptor,
};

use crate::lower::collisions::{Idents, Item, Kind};
use crate::lower::names;
use crate::lower::places::Places;

/// Claims the names of all messages and enums of a file, whose package's modules are given.
pub(super) fn claim(
    file: &FileDescriptor,
    modules: &[String],
    places: &Places<'_>,
    idents: &mut Idents,
) {
    let mut claims = Claims { places, idents };
    for message in file.messages() {
        claims.message(&message, modules);
    }
    for enumeration in file.enums() {
        claims.enumeration(&enumeration, modules);
    }
}

struct Claims<'a> {
    places: &'a Places<'a>,
    idents: &'a mut Idents,
}

impl Claims<'_> {
    fn message(&mut self, message: &MessageDescriptor, modules: &[String]) {
        let name = names::upper_camel(message.name());
        let item = Item::new(
            format!("message `{}`", message.full_name()),
            &self.places.name(message.path()),
        );
        if !self.idents.claim(modules, Kind::Type, &name, item.clone()) {
            return;
        }

        let fields = [modules, &[name]].concat();
        let is_real = |oneof: &OneofDescriptor| !oneof.is_synthetic();
        for field in message.fields().filter(|field| {
            !field
                .containing_oneof()
                .is_some_and(|oneof| is_real(&oneof))
        }) {
            self.field(&field, &fields, names::snake(field.name()));
        }
        let oneofs: Vec<OneofDescriptor> = message.oneofs().filter(is_real).collect();
        for oneof in &oneofs {
            let item = self.oneof_item(oneof);
            self.idents
                .claim(&fields, Kind::Member, &names::snake(oneof.name()), item);
        }

        let inner_messages: Vec<_> = message
            .child_messages()
            .filter(|inner| !inner.is_map_entry())
            .collect();
        let inner_enums: Vec<_> = message.child_enums().collect();
        if inner_messages.is_empty() && inner_enums.is_empty() && oneofs.is_empty() {
            return;
        }
        let module = names::snake(message.name());
        if !self
            .idents
            .claim(modules, Kind::Type, &module, item.module())
        {
            return;
        }
        let inside = [modules, &[module]].concat();
        for inner in &inner_messages {
            self.message(inner, &inside);
        }
        for inner in &inner_enums {
            self.enumeration(inner, &inside);
        }
        let taken: HashSet<String> = message
            .child_messages()
            .map(|inner| names::upper_camel(inner.name()))
            .chain(
                inner_enums
                    .iter()
                    .map(|inner| names::upper_camel(inner.name())),
            )
            .collect();
        for oneof in &oneofs {
            let name = names::upper_camel(oneof.name());
            // prost-build makes way for a nested type of the same name.
            let name = if taken.contains(&name) {
                name + "OneOf"
            } else {
                name
            };
            let item = self.oneof_item(oneof);
            self.idents.claim(&inside, Kind::Type, &name, item);
            let variants = [inside.as_slice(), &[name]].concat();
            for field in oneof.fields() {
                self.field(&field, &variants, names::upper_camel(field.name()));
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, scope: &[String], name: String) {
        let item = Item::new(
            format!("field `{}`", field.full_name()),
            &self.places.name(field.path()),
        );
        self.idents.claim(scope, Kind::Member, &name, item);
    }

    fn oneof_item(&self, oneof: &OneofDescriptor) -> Item {
        Item::new(
            format!("oneof `{}`", oneof.full_name()),
            &self.places.name(oneof.path()),
        )
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptor, modules: &[String]) {
        let name = names::upper_camel(enumeration.name());
        let item = Item::new(
            format!("enum `{}`", enumeration.full_name()),
            &self.places.name(enumeration.path()),
        );
        if !self.idents.claim(modules, Kind::Type, &name, item) {
            return;
        }

        let variants = [modules, std::slice::from_ref(&name)].concat();
        let mut numbers = HashSet::new();
        let proto = enumeration.enum_descriptor_proto();
        for (index, value) in proto.value.iter().enumerate() {
            // Of aliases, prost-build takes the first.
            if !numbers.insert(value.number()) {
                continue;
            }
            const VALUE: i32 = 2;
            let path = [
                enumeration.path(),
                &[VALUE, i32::try_from(index).unwrap_or(i32::MAX)],
            ]
            .concat();
            let item = Item::new(
                format!("enum value `{}.{}`", enumeration.full_name(), value.name()),
                &self.places.name(&path),
            );
            self.idents.claim(
                &variants,
                Kind::Member,
                &names::variant(&name, value.name()),
                item,
            );
        }
    }
}
